// A thousand Prepares whose layers a registry never sends: nothing else waits for them.
package conformance

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	heldImages   = 50
	heldPrepares = 1000
)

// A heldPrepare is one of them, and its answer.
type heldPrepare struct {
	key    string
	image  *heldImage
	mounts []*types.Mount
	err    error
}

func testPreparesInFlight(t *testing.T) {
	containerd := startContainerd(t)
	registry := startHeldRegistry(t, heldImages)
	containerd.putImages(registry)
	d := startLoadedDaemon(t, func(string) string { return containerdAt(containerd.socket) })
	idle := d.threads()

	held := make([]*heldPrepare, heldPrepares)
	var begun, answered atomicCounter
	var all sync.WaitGroup
	for i := range held {
		p := &heldPrepare{key: fmt.Sprintf("load/%d/extract", i), image: registry.images[i%heldImages]}
		held[i] = p
		all.Add(1)
		go func() {
			defer all.Done()
			begun.add(1)
			p.mounts, p.err = d.prepare(p.key, "", p.image.labels()...)
			answered.add(1)
		}()
	}
	watched := d.watchThreads()
	registry.awaitRequest()

	for i := 0; i < 10; i++ {
		s, cancel := d.within(deadlock)
		if err := everyCall(s, fmt.Sprintf("beside-%d", i)); err != nil {
			t.Fatalf("beside %d Prepares: %v", heldPrepares, err)
		}
		cancel()
	}
	if begun.get() != heldPrepares || answered.get() != 0 {
		t.Errorf("%d of %d Prepares have begun, %d are answered; the registry has answered nobody", begun.get(), heldPrepares, answered.get())
	}
	threads := watched()
	t.Logf("threads: %d idle, at most %d with %d Prepares in flight", idle, threads, heldPrepares)
	if threads > maxThreads {
		t.Errorf("%d threads", threads)
	}

	registry.release()
	all.Wait()
	expectHeldAnswers(t, d, held)
}

// expectHeldAnswers: every layer that the registry has given is there once, and all who asked for it were told so; who
// asked for another has a directory of their own.
func expectHeldAnswers(t *testing.T, d *loadedDaemon, held []*heldPrepare) {
	t.Helper()
	directories := map[string]bool{}
	prepared := 0
	for _, p := range held {
		code := status.Code(p.err)
		switch {
		case p.image.given && code != codes.AlreadyExists, !p.image.given && code != codes.OK:
			t.Errorf("%s: %v", p.key, p.err)
		case code == codes.OK:
			directories[source(p.mounts)] = true
			prepared++
		}
	}
	if len(directories) != prepared {
		t.Errorf("%d Prepares share %d directories", prepared, len(directories))
	}
	infos, err := d.list()
	d.must(err)
	layers := map[string]int{}
	active := 0
	for _, info := range infos {
		if info.Parent == "" && info.Labels["containerd.io/snapshot/remote"] != "" {
			layers[info.Labels["containerd.io/snapshot.ref"]]++
		} else {
			active++
		}
	}
	if active != prepared || len(layers) != heldImages/2 {
		t.Errorf("%d active snapshots for %d answers, %d layers of %d", active, prepared, len(layers), heldImages/2)
	}
	for ref, count := range layers {
		if count != 1 {
			t.Errorf("%s is there %d times", ref, count)
		}
	}
	d.expectTidy(active + len(layers))
}

type atomicCounter struct{ n int64 }

func (c *atomicCounter) add(n int64) { atomic.AddInt64(&c.n, n) }
func (c *atomicCounter) get() int64  { return atomic.LoadInt64(&c.n) }
