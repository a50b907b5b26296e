// The contract of containerd's snapshots service, case by case. The peer decides what is right: every case is asked of
// containerd's overlay snapshotter and of the daemon, and where their answers differ in what is not in `differences`, the
// case fails. docs/conformance.md is made of the answers; it must be what they are now.
package conformance

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc/status"
)

var (
	pagePath  = flag.String("page", "", "docs/conformance.md")
	writePage = flag.Bool("write", false, "write the page instead of comparing it")
)

// An answer to a question of a case, as text that does not depend on the side's root and numbers.
type answer struct{ question, text string }

// A case is a section of the page.
type contractCase struct {
	name  string
	about string
	run   func(s *side)
}

var contractCases = []contractCase{
	{"Codes", "`base` is committed and has a child of each kind, `lone` is committed, `active` and `view` are what they are called. " +
		"A refused call changes nothing.", askCodes},
	{"Life", "Each call in turn, and what then is listed.", askLife},
	{"Mounts", "`R` is the root; directories are numbered as they were made. `index=off`, which depends on the kernel, is compared, not shown.",
		askMounts},
	{"Mounted", "The same mounts given to the kernel.", askMounted},
	{"Filters", "The names that List gives.", askFilters},
	{"Update", "The labels after each call.", askUpdate},
	{"Times", "", askTimes},
	{"Usage", "On tmpfs.", askUsage},
	{"Names", "A key that is prepared, found by Stat and List under the same name, committed and removed.", askNames},
	{"Namespaces", "containerd's metadata store makes `<namespace>/<number>/<key>` of a client's key.", askNamespaces},
	{"List", "", askList},
	{"Races", "Sixteen clients at once, and how many of them get which code.", askRaces},
	{"Layers", "Prepare for a layer (label `containerd.io/snapshot.ref`) that has no source here: it is left to the client.", askLayers},
}

func (s *side) answer(question, text string) {
	s.answers = append(s.answers, answer{question, text})
}

// code answers a question with the call's gRPC code. A refusal of ours must say what it is about.
func (s *side) code(question string, err error, about ...string) {
	s.t.Helper()
	s.answer(question, status.Code(err).String())
	if err == nil || !s.ours {
		return
	}
	for _, word := range about {
		if message := status.Convert(err).Message(); !strings.Contains(message, word) {
			s.t.Errorf("%s: the message does not name %q: %s", question, word, message)
		}
	}
}

// portable replaces what differs between two roots in which the same was done.
func (s *side) portable(text string) string {
	pieces := strings.Split(text, s.root+"/snapshots/")
	for i, piece := range pieces[1:] {
		number, rest, _ := strings.Cut(piece, "/")
		if s.ids[number] == "" {
			s.ids[number] = fmt.Sprint(len(s.ids) + 1)
		}
		pieces[i+1] = s.ids[number] + "/" + rest
	}
	return strings.Join(pieces, "R/")
}

// show answers with mounts, or with the code if there are none.
func (s *side) show(question string, mounts []*types.Mount, err error) {
	s.t.Helper()
	if err != nil {
		s.code(question, err)
		return
	}
	var lines []string
	for _, m := range mounts {
		lines = append(lines, s.portable(fmt.Sprintf("%s %s %s%s", m.Type, m.Source, strings.Join(m.Options, ","), m.Target)))
	}
	s.answer(question, strings.Join(lines, "; "))
}

func kindName(kind snapshotsapi.Kind) string { return strings.ToLower(kind.String()) }

func labelText(labels map[string]string) string {
	var words []string
	for key, value := range labels {
		words = append(words, fmt.Sprintf("%s=%s", key, value))
	}
	sort.Strings(words)
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// listed is everything the store has, in the order of names.
func (s *side) listed() string {
	s.t.Helper()
	infos, err := s.list()
	s.must(err)
	var lines []string
	for _, info := range infos {
		line := fmt.Sprintf("%s %s", info.Name, kindName(info.Kind))
		if info.Parent != "" {
			line += " of " + info.Parent
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return strings.Join(lines, ", ")
}

// --- the comparison ---

func TestContract(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the suite mounts: it must run as root")
	}
	var p page
	used := map[int]bool{}
	for _, c := range contractCases {
		t.Run(c.name, func(t *testing.T) {
			theirs, ours := newSide(t, false), newSide(t, true)
			c.run(theirs)
			c.run(ours)
			compare(t, c, theirs.answers, ours.answers, used, &p)
		})
	}
	for i, d := range differences {
		if !used[i] {
			t.Errorf("no longer differs, or is not asked: %s: %s", d.section, d.question)
		}
	}
	if t.Failed() {
		return
	}
	t.Run("Page", func(t *testing.T) { p.settle(t) })
}

func compare(t *testing.T, c contractCase, theirs, ours []answer, used map[int]bool, p *page) {
	t.Helper()
	if len(theirs) != len(ours) {
		t.Fatalf("%d answers of overlayfs, %d of sluice", len(theirs), len(ours))
	}
	seen := map[string]bool{}
	p.begin(c)
	for i := range theirs {
		question := theirs[i].question
		if ours[i].question != question || seen[question] {
			t.Fatalf("question %d: %q, %q: not the same, or asked twice", i, question, ours[i].question)
		}
		seen[question] = true
		reason := 0
		for j, d := range differences {
			if d.section == c.name && (d.question == question || d.question == everyQuestion) && d.theirs == theirs[i].text && d.ours == ours[i].text {
				used[j] = true
				reason = j + 1
			}
		}
		if theirs[i].text != ours[i].text && reason == 0 {
			t.Errorf("%s\n  overlayfs: %s\n  sluice:    %s", question, theirs[i].text, ours[i].text)
		}
		p.row(question, theirs[i].text, ours[i].text, reason)
	}
}
