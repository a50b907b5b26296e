// A tree of many files is deleted: nobody waits for that.
package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
)

const filesOfOneDirectory = 1000

func infoWithLabel(name string) snapshotsapi.Info {
	return snapshotsapi.Info{Name: name, Labels: labelsOf([]string{"load=1"})}
}

func fillTree(directory string, files int) error {
	for i := 0; i < files; i++ {
		below := filepath.Join(directory, fmt.Sprint(i/filesOfOneDirectory))
		if i%filesOfOneDirectory == 0 {
			if err := os.Mkdir(below, 0755); err != nil {
				return err
			}
		}
		file, err := os.Create(filepath.Join(below, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		file.Close()
	}
	return nil
}

// timedCalls makes all calls but Cleanup, which is to wait, once after the other, as long as `more`, and says how long
// each took, in order.
func timedCalls(s *side, name string, more func() bool) (took []time.Duration) {
	for i := 0; more(); i++ {
		key := fmt.Sprintf("%s-%d", name, i)
		for _, call := range []func() error{
			func() error { return onlyError(s.prepare(key, "")) },
			func() error { return onlyError(s.mounts(key)) },
			func() error { _, err := s.stat(key); return err },
			func() error { _, err := s.update(infoWithLabel(key), "labels.load"); return err },
			func() error { _, err := s.usage(key); return err },
			func() error { _, err := s.list(); return err },
			func() error { return s.remove(key) },
		} {
			start := time.Now()
			s.must(call())
			took = append(took, time.Since(start))
		}
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	return took
}

func percentile99(sorted []time.Duration) time.Duration { return sorted[len(sorted)*99/100] }

func testDeletion(t *testing.T) {
	d := startLoadedDaemon(t, withoutContainerd)
	rounds := 0
	alone := timedCalls(d.side, "alone", func() bool { rounds++; return rounds <= 100 })

	mounts, err := d.prepare("big", "")
	d.must(err)
	d.must(fillTree(source(mounts), *loadFiles))
	start := time.Now()
	d.must(d.remove("big"))
	removed := time.Since(start)
	big := filepath.Join(d.root, "trash", d.namesBelow("trash")[0])
	// As containerd does when its garbage collection has removed.
	cleaned := make(chan error)
	start = time.Now()
	go func() { cleaned <- d.cleanup() }()
	beside := timedCalls(d.side, "beside", func() bool {
		_, err := os.Stat(big)
		return err == nil
	})
	deletion := time.Since(start)
	d.must(<-cleaned)

	if len(beside) == 0 {
		t.Fatalf("%d files are too few to see anything beside their deletion", *loadFiles)
	}
	t.Logf("%d files: Remove took %v, the deletion %v; meanwhile %d calls, p99 %v (alone %v), at most %v", *loadFiles, removed,
		deletion, len(beside), percentile99(beside), percentile99(alone), beside[len(beside)-1])
	if most := beside[len(beside)-1]; removed > deletion/2 || most > deletion/2 {
		t.Errorf("Remove took %v and another call %v beside a deletion of %v", removed, most, deletion)
	}
	if p99 := percentile99(beside); p99 > 20*percentile99(alone) {
		t.Errorf("p99 is %v beside the deletion, %v alone", p99, percentile99(alone))
	}
	d.expectTidy(0)
}
