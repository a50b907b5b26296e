// How often a server syncs for a call, as strace sees it.
package conformance

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// A call's beginning; one that another thread has interrupted has a second line, "<... fsync resumed>".
var syncLine = regexp.MustCompile(`(?m)\b(fsync|fdatasync|syncfs|sync_file_range|msync)\(`)

func (s *benchServer) countSyncs(round int) {
	s.t.Helper()
	for _, call := range benchCalls {
		log := filepath.Join(*benchDir, "strace.log")
		tracer := exec.Command("strace", "-f", "-e", "trace=fsync,fdatasync,syncfs,sync_file_range,msync", "-o", log,
			"-p", strconv.Itoa(s.pid))
		tracer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		said, err := tracer.StderrPipe()
		s.must(err)
		s.must(tracer.Start())
		lines := bufio.NewScanner(said)
		for lines.Scan() && !strings.Contains(lines.Text(), "attached") {
		}
		s.turn(call, round, false)
		if call.name == "Commit" {
			// What it leaves for later is part of it.
			for i := 0; i < call.perTurn(); i++ {
				_, err := s.usage(fmt.Sprintf("committed %d-%d", round, i))
				s.must(err)
			}
		}
		s.must(tracer.Process.Signal(syscall.SIGINT))
		for lines.Scan() {
		}
		_ = tracer.Wait() // ends by the signal
		text, err := os.ReadFile(log)
		s.must(err)
		counts := map[string]int{}
		for _, match := range syncLine.FindAllStringSubmatch(string(text), -1) {
			counts[match[1]]++
		}
		s.syncs[call.name] = describeSyncs(s, call, counts)
	}
}

func describeSyncs(s *benchServer, call *benchCall, counts map[string]int) string {
	var words []string
	sum := 0
	for _, name := range []string{"fdatasync", "fsync", "syncfs", "sync_file_range", "msync"} {
		if counts[name] > 0 {
			words = append(words, fmt.Sprintf("%.2f %s", float64(counts[name])/float64(call.perTurn()), name))
			sum += counts[name]
		}
	}
	if len(words) == 0 {
		words = []string{"none"}
	}
	return strings.Join(words, " + ") + missedIf(s.ours && call.changes && sum < call.perTurn())
}

func syncTable(servers []*benchServer) string {
	var b strings.Builder
	var counted []*benchServer
	b.WriteString("Syncs for each call, by strace. Asked: of ours at least one wherever something changes.\n\n| call |")
	for _, s := range servers {
		if len(s.syncs) > 0 {
			counted = append(counted, s)
			fmt.Fprintf(&b, " %s |", s.side.name())
		}
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(counted)) + "\n")
	for _, call := range benchCalls {
		fmt.Fprintf(&b, "| %s |", call.name)
		for _, s := range counted {
			fmt.Fprintf(&b, " %s |", s.syncs[call.name])
		}
		b.WriteString("\n")
	}
	return b.String()
}
