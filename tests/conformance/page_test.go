// docs/conformance.md, made of the answers of both sides.
package conformance

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

const (
	pageCommand = "sudo bazel run //tests/conformance:conformance_page -- --write"
	// Longer answers are compared whole and shown in part.
	shownBytes = 160
)

type page struct {
	text bytes.Buffer
	rows int
}

// cell is a text as a table may hold it.
func cell(text string) string {
	text = strings.ReplaceAll(text, "index=off,", "")
	quoted := strconv.Quote(text)
	if quoted = quoted[1 : len(quoted)-1]; quoted != strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`) {
		text = quoted
	}
	if len(text) > shownBytes {
		text = text[:shownBytes*2/3] + " … " + text[len(text)-shownBytes/3:]
	}
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;", "~", `\~`, "_", `\_`).Replace(text)
}

func (p *page) begin(c contractCase) {
	fmt.Fprintf(&p.text, "\n## %s\n\n", c.name)
	if c.about != "" {
		fmt.Fprintf(&p.text, "%s\n\n", c.about)
	}
	p.text.WriteString("| case | containerd's overlayfs | sluice |\n|---|---|---|\n")
}

func (p *page) row(question, theirs, ours string, reason int) {
	p.rows++
	mark := ""
	if reason > 0 {
		mark = fmt.Sprintf(" [%d]", reason)
	}
	fmt.Fprintf(&p.text, "| %s | %s | %s%s |\n", cell(question), cell(theirs), cell(ours), mark)
}

func (p *page) whole() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `# Conformance, case by case

What containerd's snapshots service answers, asked of containerd's own overlay snapshotter (Debian's 1.6, behind its
contrib/snapshotservice) and of sluice, each over its socket, in one run: %d questions, %d differences, which are decided. A
test compares all of it in every run; one that is not in the list of differences fails it. The page is made by

    %s
`, p.rows, len(differences), pageCommand)
	out.WriteString("\n## Differences\n\n| | case | containerd's overlayfs | sluice | why |\n|---|---|---|---|---|\n")
	for i, d := range differences {
		fmt.Fprintf(&out, "| %d | %s: %s | %s | %s | %s |\n", i+1, d.section, cell(d.question), cell(d.theirs), cell(d.ours), d.why)
	}
	out.Write(p.text.Bytes())
	return out.Bytes()
}

// settle writes the page, or compares it with the one in docs/.
func (p *page) settle(t *testing.T) {
	if *writePage {
		if err := os.WriteFile(*pagePath, p.whole(), 0644); err != nil {
			t.Fatal(err)
		}
		return
	}
	now, err := os.ReadFile(*pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(now, p.whole()) {
		return
	}
	ours, theirs := strings.Split(string(now), "\n"), strings.Split(string(p.whole()), "\n")
	for i := range ours {
		if i >= len(theirs) || ours[i] != theirs[i] {
			t.Errorf("docs/conformance.md is not of today, from line %d:\n  %s\nrun: %s", i+1, ours[i], pageCommand)
			return
		}
	}
	t.Errorf("docs/conformance.md is cut short; run: %s", pageCommand)
}
