// The daemon under load: many calls at once, work that hangs, no descriptors, a deletion that takes long. Each case has a
// daemon of its own.
package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
)

var (
	loadSeconds = flag.Int("load-seconds", 10, "how long the mixed clients call")
	loadFiles   = flag.Int("load-files", 50_000, "how many files the tree has that is deleted")
)

// Longer than any call takes on the slowest machine: who waits so long waits for ever.
const deadlock = 60 * time.Second

// What threads a daemon may have, whatever it is asked: its pools and gRPC's.
const maxThreads = 80

func TestLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the daemon must run as root")
	}
	t.Run("PreparesInFlight", testPreparesInFlight)
	t.Run("MixedClients", testMixedClients)
	t.Run("OutOfDescriptors", testOutOfDescriptors)
	t.Run("Deletion", testDeletion)
}

// A loadedDaemon is a daemon with what can be seen of it from outside.
type loadedDaemon struct {
	*side
	pid    int
	socket string
}

// startLoadedDaemon starts one whose configuration has these lines; it ends with the test.
func startLoadedDaemon(t *testing.T, config func(root string) string) *loadedDaemon {
	t.Helper()
	root, err := os.MkdirTemp("", "load-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	command, err := daemonCommand(root, config(root))
	if err != nil {
		t.Fatal(err)
	}
	s := startSide(t, true, root, serverOf(command))
	return &loadedDaemon{pid: command.Process.Pid, socket: socketBelow(root), side: s}
}

// within is the side with a limit for all of its calls.
func (s *side) within(limit time.Duration) (*side, context.CancelFunc) {
	limited := *s
	var cancel context.CancelFunc
	limited.ctx, cancel = context.WithTimeout(s.ctx, limit)
	return &limited, cancel
}

var threadsLine = regexp.MustCompile(`(?m)^Threads:\s+(\d+)$`)

func (d *loadedDaemon) threads() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid))
	d.must(err)
	match := threadsLine.FindSubmatch(status)
	if match == nil {
		d.t.Fatalf("no threads in %s", status)
	}
	threads, err := strconv.Atoi(string(match[1]))
	d.must(err)
	return threads
}

// watchThreads looks at them until it is told to stop; then it says how many there were at most.
func (d *loadedDaemon) watchThreads() func() int {
	stopped, most := make(chan struct{}), make(chan int)
	go func() {
		seen := 0
		for {
			if threads := d.threads(); threads > seen {
				seen = threads
			}
			select {
			case <-stopped:
				most <- seen
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(stopped)
		return <-most
	}
}

func (d *loadedDaemon) descriptors() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.pid))
	d.must(err)
	return len(entries)
}

// limitDescriptors sets the soft limit of the running daemon.
func (d *loadedDaemon) limitDescriptors(limit int) {
	d.t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(d.pid), fmt.Sprintf("--nofile=%d:", limit)).CombinedOutput()
	if err != nil {
		d.t.Fatalf("prlimit: %v: %s", err, out)
	}
}

func (d *loadedDaemon) namesBelow(directory string) []string {
	entries, err := os.ReadDir(filepath.Join(d.root, directory))
	d.must(err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// expectTidy: what is on the disk is what the rows name, and nothing is left to be deleted.
func (d *loadedDaemon) expectTidy(directories int) {
	d.t.Helper()
	d.must(d.cleanup())
	if left := append(d.namesBelow("trash"), d.stagedNames()...); len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
	if have := d.namesBelow("snapshots"); len(have) != directories {
		d.t.Errorf("%d directories for %d snapshots that have one", len(have), directories)
	}
}

func (d *loadedDaemon) stagedNames() []string {
	names, err := filepath.Glob(filepath.Join(d.root, "new-*"))
	d.must(err)
	return names
}

// everyCall makes each call once, of snapshots of its own, and removes them. An error names the call.
func everyCall(s *side, name string) error {
	steps := []struct {
		call string
		run  func() error
	}{
		{"Prepare", func() error { return onlyError(s.prepare(name, "", "load.name="+name)) }},
		{"Mounts", func() error { return onlyError(s.mounts(name)) }},
		{"Stat", func() error { _, err := s.stat(name); return err }},
		{"Update", func() error {
			_, err := s.update(snapshotsapi.Info{Name: name, Labels: labelsOf([]string{"load.again=1"})}, "labels.load.again")
			return err
		}},
		{"Usage", func() error { _, err := s.usage(name); return err }},
		{"Commit", func() error { return s.commit(name+" committed", name) }},
		{"View", func() error { return onlyError(s.view(name, name+" committed")) }},
		{"List", func() error { _, err := s.list(); return err }},
		{"Remove", func() error { return s.remove(name) }},
		{"Remove", func() error { return s.remove(name + " committed") }},
		{"Cleanup", s.cleanup},
	}
	for _, step := range steps {
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.call, err)
		}
	}
	return nil
}

func source(mounts []*types.Mount) string { return ownDirectory(mounts) }
