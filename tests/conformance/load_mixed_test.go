// Sixty-four clients that do everything at once. Each knows what it has been told, and the store must be that.
package conformance

import (
	"context"
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	mixedClients = 64
	// Keys that all clients want, each of which at most one can have.
	contestedKeys = 8
	// Snapshots that a client has at most, so that all kinds of calls stay about as frequent.
	mostOfOneClient = 12
)

// A toldSnapshot is what a client knows of a snapshot of its own.
type toldSnapshot struct {
	kind     snapshotsapi.Kind
	parent   string
	labels   map[string]string
	mounts   string // none of a committed one
	children int    // those of the same client, which are all
}

// A mixedClient has a connection of its own.
type mixedClient struct {
	*side
	id      int
	random  *rand.Rand
	told    map[string]*toldSnapshot
	made    int // names are not used again
	shared  int // how often it has set its label of the one that all clients label
	calls   *int64
	holders *[contestedKeys]int32 // how many have each contested key
}

// expect fails the test unless the call has ended with one of the codes.
func (c *mixedClient) expect(call string, err error, wanted ...codes.Code) bool {
	atomic.AddInt64(c.calls, 1)
	for _, code := range wanted {
		if status.Code(err) == code {
			return code == codes.OK
		}
	}
	c.t.Errorf("client %d: %s: %v instead of %v", c.id, call, err, wanted)
	return false
}

func (c *mixedClient) newName() string {
	c.made++
	return fmt.Sprintf("client-%d/%d", c.id, c.made)
}

func (c *mixedClient) owned() string { return fmt.Sprintf("load.client=%d", c.id) }

// pick is one of its own of these kinds, or "".
func (c *mixedClient) pick(kinds ...snapshotsapi.Kind) string {
	var names []string
	for name, s := range c.told {
		for _, kind := range kinds {
			if s.kind == kind {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	sort.Strings(names) // so that a seed says what is done
	return names[c.random.Intn(len(names))]
}

func (c *mixedClient) create(kind snapshotsapi.Kind) {
	name, parent := c.newName(), ""
	if c.random.Intn(2) == 0 {
		parent = c.pick(snapshotsapi.KindCommitted)
	}
	if parent == "" && (kind == snapshotsapi.KindView || c.random.Intn(2) == 0) {
		parent = benchTop
	}
	create, call := c.prepare, "Prepare"
	if kind == snapshotsapi.KindView {
		create, call = c.view, "View"
	}
	mounts, err := create(name, parent, c.owned())
	if !c.expect(call+" "+name, err, codes.OK) {
		return
	}
	if above := c.told[parent]; above != nil {
		above.children++
	}
	c.told[name] = &toldSnapshot{kind: kind, parent: parent, labels: labelsOf([]string{c.owned()}), mounts: fmt.Sprint(mounts)}
	_, err = create(name, parent)
	c.expect(call+" again "+name, err, codes.AlreadyExists)
}

func (c *mixedClient) commitOne() {
	key := c.pick(snapshotsapi.KindActive)
	if key == "" {
		return
	}
	name := c.newName()
	if !c.expect("Commit "+key, c.commit(name, key, c.owned()), codes.OK) {
		return
	}
	committed := *c.told[key]
	committed.kind, committed.mounts, committed.labels = snapshotsapi.KindCommitted, "", labelsOf([]string{c.owned()})
	delete(c.told, key)
	c.told[name] = &committed
}

func (c *mixedClient) updateOne() {
	name := c.pick(snapshotsapi.KindActive, snapshotsapi.KindView, snapshotsapi.KindCommitted)
	if name == "" {
		return
	}
	value := fmt.Sprint(c.random.Int())
	info, err := c.update(snapshotsapi.Info{Name: name, Labels: map[string]string{"load.value": value}}, "labels.load.value")
	if c.expect("Update "+name, err, codes.OK) {
		c.told[name].labels["load.value"] = value
		c.compare(name, info)
	}
}

// updateShared sets this client's label of the snapshot that all clients label. One that is lost is found at the end.
func (c *mixedClient) updateShared() {
	label := fmt.Sprintf("load.client-%d", c.id)
	info, err := c.update(snapshotsapi.Info{Name: benchTop, Labels: map[string]string{label: fmt.Sprint(c.shared + 1)}}, "labels."+label)
	if c.expect("Update of the shared one", err, codes.OK) {
		c.shared++
		if info.Labels[label] != fmt.Sprint(c.shared) {
			c.t.Errorf("client %d: %s is %q and not %d", c.id, label, info.Labels[label], c.shared)
		}
	}
}

func (c *mixedClient) compare(name string, info snapshotsapi.Info) {
	if s := c.told[name]; info.Name != name || info.Kind != s.kind || info.Parent != s.parent || labelText(info.Labels) != labelText(s.labels) {
		c.t.Errorf("client %d: %v instead of %s %v", c.id, info, name, *s)
	}
}

func (c *mixedClient) lookAtOne() {
	name := c.pick(snapshotsapi.KindActive, snapshotsapi.KindView, snapshotsapi.KindCommitted)
	if name == "" {
		return
	}
	info, err := c.stat(name)
	if c.expect("Stat "+name, err, codes.OK) {
		c.compare(name, info)
	}
	_, err = c.usage(name)
	c.expect("Usage "+name, err, codes.OK)
	mounts, err := c.mounts(name)
	if c.told[name].kind == snapshotsapi.KindCommitted {
		c.expect("Mounts "+name, err, codes.NotFound, codes.FailedPrecondition)
	} else if c.expect("Mounts "+name, err, codes.OK) && fmt.Sprint(mounts) != c.told[name].mounts {
		c.t.Errorf("client %d: %s has other mounts: %v instead of %s", c.id, name, mounts, c.told[name].mounts)
	}
}

func (c *mixedClient) listOwn() {
	key, value, _ := strings.Cut(c.owned(), "=")
	infos, err := c.list(fmt.Sprintf("labels.%q==%s", key, value))
	if !c.expect("List", err, codes.OK) {
		return
	}
	if len(infos) != len(c.told) {
		c.t.Errorf("client %d: %d listed instead of %d", c.id, len(infos), len(c.told))
	}
	for _, info := range infos {
		if c.told[info.Name] == nil {
			c.t.Errorf("client %d: %s is listed", c.id, info.Name)
			continue
		}
		c.compare(info.Name, info)
	}
}

func (c *mixedClient) removeOne() {
	name := c.pick(snapshotsapi.KindActive, snapshotsapi.KindView, snapshotsapi.KindCommitted)
	if name == "" {
		return
	}
	s := c.told[name]
	if s.children > 0 {
		c.expect("Remove of a parent", c.remove(name), codes.FailedPrecondition)
		return
	}
	if !c.expect("Remove "+name, c.remove(name), codes.OK) {
		return
	}
	delete(c.told, name)
	if above := c.told[s.parent]; above != nil {
		above.children--
	}
	_, err := c.stat(name)
	c.expect("Stat of what was removed", err, codes.NotFound)
}

// contest: of all who want a key one gets it, until it gives it back.
func (c *mixedClient) contest() {
	i := c.random.Intn(contestedKeys)
	key := fmt.Sprintf("contested/%d", i)
	_, err := c.prepare(key, "")
	if !c.expect("Prepare of a contested key", err, codes.OK, codes.AlreadyExists) {
		return
	}
	if holders := atomic.AddInt32(&c.holders[i], 1); holders != 1 {
		c.t.Errorf("%d clients were given %s", holders, key)
	}
	// Before, since the next may have it before this one hears that it has gone.
	atomic.AddInt32(&c.holders[i], -1)
	c.expect("Remove of a contested key", c.remove(key), codes.OK)
}

// step makes a call, or a few that belong together.
func (c *mixedClient) step() {
	full := len(c.told) >= mostOfOneClient
	switch dice := c.random.Intn(100); {
	case dice < 20 && !full:
		c.create(snapshotsapi.KindActive)
	case dice < 28 && !full:
		c.create(snapshotsapi.KindView)
	case dice < 38:
		c.commitOne()
	case dice < 50:
		c.updateOne()
	case dice < 56:
		c.updateShared()
	case dice < 70:
		c.lookAtOne()
	case dice < 75:
		c.listOwn()
	case dice < 79:
		c.contest()
	case dice < 80:
		c.expect("Cleanup", c.cleanup(), codes.OK)
	default:
		c.removeOne()
	}
}

func testMixedClients(t *testing.T) {
	d := startLoadedDaemon(t, withoutContainerd)
	mixClients(t, d.side, d.socket, d.watchThreads)
	directories := 0
	infos, err := d.list()
	d.must(err)
	for _, info := range infos {
		if info.Kind != snapshotsapi.KindView {
			directories++ // a view of others has nothing of its own
		}
	}
	d.expectTidy(directories)
}

// mixClients lets them loose on a server that has nothing yet, and compares what it has in the end with what they know.
func mixClients(t *testing.T, server *side, socket string, watchThreads func() func() int) {
	t.Helper()
	for i := 0; i < loadedChain; i++ {
		parent := ""
		if i > 0 {
			parent = layerName(i - 1)
		}
		server.committed(layerName(i), parent, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*loadSeconds)*time.Second+deadlock)
	defer cancel()
	var calls int64
	var holders [contestedKeys]int32
	clients := make([]*mixedClient, mixedClients)
	for i := range clients {
		conn, err := dial(ctx, socket)
		server.must(err)
		defer conn.Close()
		own := *server
		own.ctx, own.client = ctx, snapshotsapi.NewSnapshotsClient(conn)
		clients[i] = &mixedClient{side: &own, id: i, random: rand.New(rand.NewSource(int64(i))), told: map[string]*toldSnapshot{},
			calls: &calls, holders: &holders}
	}
	watched := watchThreads()
	end := time.Now().Add(time.Duration(*loadSeconds) * time.Second)
	var all sync.WaitGroup
	for _, c := range clients {
		c := c
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) && !t.Failed() {
				c.step()
			}
		}()
	}
	all.Wait()
	threads := watched()
	t.Logf("%d calls in %d s; at most %d threads", calls, *loadSeconds, threads)
	if threads > maxThreads {
		t.Errorf("%d threads", threads)
	}
	expectTold(t, server, clients)
}

// expectTold: what the server has is what the clients were told, no more and no less.
func expectTold(t *testing.T, server *side, clients []*mixedClient) {
	t.Helper()
	infos, err := server.list()
	server.must(err)
	left := map[string]snapshotsapi.Info{}
	for _, info := range infos {
		left[info.Name] = info
	}
	for _, c := range clients {
		for name := range c.told {
			if _, found := left[name]; !found {
				t.Errorf("client %d: %s is lost", c.id, name)
				continue
			}
			c.compare(name, left[name])
			delete(left, name)
		}
		label := fmt.Sprintf("load.client-%d", c.id)
		if value := left[benchTop].Labels[label]; c.shared > 0 && value != fmt.Sprint(c.shared) {
			t.Errorf("lost update: %s is %q and not %d", label, value, c.shared)
		}
	}
	for i := 0; i < loadedChain; i++ {
		delete(left, layerName(i))
	}
	for name := range left {
		t.Errorf("nobody has made %s", name)
	}
}
