// What each call of the snapshots service costs, ours beside containerd's overlay snapshotter served by the same protocol:
// medians with as many snapshots as -bench-dir has stores for, and the syncs of each call. Run by tests/bench/rpc_bench.sh.
package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"
)

var (
	benchDir = flag.String("bench-dir", "",
		"has an empty directory, each on a file system of its own, for each server: ours-<snapshots>, theirs-<snapshots>")
	benchLoader = flag.String("bench-loader", "", "path of load_snapshots")
	benchRounds = flag.Int("bench-rounds", 15, "how often each server has its turn with each call")
)

// Calls that a server is asked in one turn, one after the other.
const benchTurn = 20

// A benchServer is one of the servers that are compared. All of them run all the time and take turns, so that whatever
// else the machine does meets all of them.
type benchServer struct {
	*side
	population int
	pid        int
	took       map[string][]time.Duration // by the call's name
	syncs      map[string]string          // likewise, a call's average
}

func (s *benchServer) name() string { return fmt.Sprintf("%s, %d", s.side.name(), s.population) }

func (s *benchServer) median(call string) time.Duration {
	took := s.took[call]
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	return (took[(len(took)-1)/2] + took[len(took)/2]) / 2
}

// startBenchServer loads a server's state and starts it.
func startBenchServer(t *testing.T, root string, ours bool, population int) *benchServer {
	t.Helper()
	state := filepath.Join(root, "state")
	var command *exec.Cmd
	var err error
	if ours {
		err = loadOurs(state, population)
		if err == nil {
			command, err = daemonCommand(root, withoutContainerd(root))
		}
	} else {
		err = loadTheirs(state, population)
		command = overlayCommand(root)
	}
	if err != nil {
		t.Fatal(err)
	}
	running := startSide(t, ours, root, serverOf(command))
	s := &benchServer{side: running, population: population, pid: command.Process.Pid, took: map[string][]time.Duration{},
		syncs: map[string]string{}}
	for i := 0; i < loadedChain; i++ {
		parent := ""
		if i > 0 {
			parent = layerName(i - 1)
		}
		s.committed(layerName(i), parent, nil)
	}
	return s
}

// benchServers starts one for each directory, ours first, small ones first.
func benchServers(t *testing.T) (servers []*benchServer) {
	t.Helper()
	for _, ours := range []bool{true, false} {
		prefix := "theirs-"
		if ours {
			prefix = "ours-"
		}
		roots, err := filepath.Glob(filepath.Join(*benchDir, prefix+"*"))
		if err != nil || len(roots) == 0 {
			t.Fatalf("-bench-dir %q has no %s*: %v", *benchDir, prefix, err)
		}
		for _, root := range roots {
			population := 0
			if _, err := fmt.Sscanf(filepath.Base(root), prefix+"%d", &population); err != nil {
				t.Fatalf("%s: %v", root, err)
			}
			fmt.Fprintf(os.Stderr, "rpc_bench: starting %s\n", filepath.Base(root))
			servers = append(servers, startBenchServer(t, root, ours, population))
		}
	}
	sort.SliceStable(servers, func(i, j int) bool { return servers[i].population < servers[j].population })
	return servers
}

// turn asks a server a call as often as the call is asked in one, and notes how long each took.
func (s *benchServer) turn(call *benchCall, round int, note bool) {
	s.t.Helper()
	runtime.GC() // what a long list has left is nobody else's to wait for
	for i := 0; i < call.perTurn(); i++ {
		key := fmt.Sprintf("%d-%d", round, i)
		if call.before != nil {
			s.must(call.before(s, key))
		}
		start := time.Now()
		err := call.run(s, key)
		took := time.Since(start)
		if err != nil {
			s.t.Fatalf("%s: %s: %v", s.name(), call.name, err)
		}
		if note {
			s.took[call.name] = append(s.took[call.name], took)
		}
	}
}

func TestRPCBench(t *testing.T) {
	servers := benchServers(t)
	for round := 0; round <= *benchRounds; round++ {
		fmt.Fprintf(os.Stderr, "rpc_bench: round %d of %d\n", round, *benchRounds)
		for _, call := range benchCalls {
			for i := range servers {
				// Each is first now and then. The round before the first warms up.
				servers[(i+round)%len(servers)].turn(call, round, round > 0)
			}
		}
	}
	for _, s := range servers {
		if s.population == servers[0].population {
			s.countSyncs(*benchRounds + 1)
		}
	}
	fmt.Print(benchTable(servers), "\n", syncTable(servers))
}

// benchTable has a row for each call: each server's median, beside overlayfs of as many snapshots, and, where there is
// none, beside ours of the fewest.
func benchTable(servers []*benchServer) string {
	var b strings.Builder
	b.WriteString("Medians, milliseconds. Asked: ours at most theirs with as many snapshots; ours with the most at most 1.5 times ours with the fewest.\n\n| call |")
	rule := "|---|"
	for _, s := range servers {
		fmt.Fprintf(&b, " %s |", s.name())
		rule += "--:|"
	}
	b.WriteString(" ours / theirs | ours, growth |\n" + rule + "---|--:|\n")
	for _, call := range benchCalls {
		fmt.Fprintf(&b, "| %s |", call.name)
		for _, s := range servers {
			fmt.Fprintf(&b, " %.3f |", s.median(call.name).Seconds()*1000)
		}
		fmt.Fprintf(&b, " %s | %s |\n", beside(servers, call), growth(servers, call))
	}
	return b.String()
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func missedIf(missed bool) string {
	if missed {
		return " (missed)"
	}
	return ""
}

// beside is ours divided by theirs, for each number of snapshots that both have.
func beside(servers []*benchServer, call *benchCall) string {
	var cells []string
	for _, ours := range servers {
		for _, theirs := range servers {
			if ours.ours && !theirs.ours && ours.population == theirs.population {
				r := ratio(ours.median(call.name), theirs.median(call.name))
				cells = append(cells, fmt.Sprintf("%.2f%s", r, missedIf(r > 1)))
			}
		}
	}
	return strings.Join(cells, ", ")
}

// growth is ours with the most snapshots divided by ours with the fewest.
func growth(servers []*benchServer, call *benchCall) string {
	var fewest, most *benchServer
	for _, s := range servers {
		if s.ours && fewest == nil {
			fewest = s
		}
		if s.ours {
			most = s
		}
	}
	r := ratio(most.median(call.name), fewest.median(call.name))
	if call.isListed {
		return fmt.Sprintf("%.2f (as long as its answer)", r)
	}
	return fmt.Sprintf("%.2f%s", r, missedIf(r > 1.5))
}
