// What may be asked of a snapshot of which kind: containerd.services.snapshots.v1 as snapshots/storage/bolt.go answers it.
package conformance

import (
	"fmt"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/status"
)

// A question of the table of codes: a call that is refused, and what its message must be about.
type refusal struct {
	question string
	about    string
	call     func(s *side) error
}

func prepared(key, parent string) func(*side) error {
	return func(s *side) error { _, err := s.prepare(key, parent); return err }
}
func viewed(key, parent string) func(*side) error {
	return func(s *side) error { _, err := s.view(key, parent); return err }
}
func committedAs(name, key string) func(*side) error {
	return func(s *side) error { return s.commit(name, key) }
}
func removed(key string) func(*side) error { return func(s *side) error { return s.remove(key) } }
func mountsOf(key string) func(*side) error {
	return func(s *side) error { _, err := s.mounts(key); return err }
}
func statted(key string) func(*side) error {
	return func(s *side) error { _, err := s.stat(key); return err }
}
func usageOf(key string) func(*side) error {
	return func(s *side) error { _, err := s.usage(key); return err }
}
func updated(name string, paths ...string) func(*side) error {
	return func(s *side) error {
		_, err := s.update(snapshotsapi.Info{Name: name, Parent: "other", Labels: map[string]string{"a": "b"}}, paths...)
		return err
	}
}

// creations are the refusals that Prepare and View have in common.
func creations(rpc string, create func(key, parent string) func(*side) error) []refusal {
	return []refusal{
		{rpc + " over an active key", "active", create("active", "")},
		{rpc + " over a view's key", "view", create("view", "base")},
		{rpc + " over a committed name", "base", create("base", "")},
		{rpc + " of a name over itself", "lone", create("lone", "lone")},
		{rpc + ": the parent is missing", "none", create("new", "none")},
		{rpc + ": the parent is active", "active", create("new", "active")},
		{rpc + ": the parent is a view", "view", create("new", "view")},
		{rpc + ": the key exists and the parent is missing", "none", create("active", "none")},
		{rpc + ": the key exists and the parent is active", "active", create("base", "active")},
		{rpc + ": empty key", "key", create("", "")},
		{rpc + ": empty key and the parent is missing", "none", create("", "none")},
	}
}

var refusals = append(append(creations("Prepare", prepared), creations("View", viewed)...), []refusal{
	{"Mounts: missing", "none", mountsOf("none")},
	{"Mounts: empty key", "mounts", mountsOf("")},
	{"Mounts of a committed", "base", mountsOf("base")},
	{"Commit: the key is missing", "none", committedAs("new", "none")},
	{"Commit: the key is missing and the name exists", "none", committedAs("base", "none")},
	{"Commit: the name is a committed's", "lone", committedAs("lone", "active")},
	{"Commit: the name is an active's", "second", committedAs("second", "active")},
	{"Commit: the name is a view's", "view", committedAs("view", "active")},
	{"Commit: the name is its own key", "active", committedAs("active", "active")},
	{"Commit of a view", "view", committedAs("new", "view")},
	{"Commit of a committed", "lone", committedAs("new", "lone")},
	{"Commit of a committed as itself", "lone", committedAs("lone", "lone")},
	{"Commit of a view over a name that exists", "base", committedAs("base", "view")},
	{"Commit: empty name", "commit", committedAs("", "active")},
	{"Commit: empty key", "commit", committedAs("new", "")},
	{"Commit: empty name and the key is missing", "none", committedAs("", "none")},
	{"Remove: missing", "none", removed("none")},
	{"Remove: empty key", "remove", removed("")},
	{"Remove with an active, a view and a committed child", "base", removed("base")},
	{"Remove with a view alone as child", "viewed", removed("viewed")},
	{"Remove with a committed alone as child", "below", removed("below")},
	{"Stat: missing", "none", statted("none")},
	{"Stat: empty key", "stat", statted("")},
	{"Usage: missing", "none", usageOf("none")},
	{"Usage: empty key", "usage", usageOf("")},
	{"Update: missing", "none", updated("none")},
	{"Update: empty name", "update", updated("")},
	{"Update: missing, and a path that can't be changed", "none", updated("none", "parent")},
	{"Update of name", "name", updated("lone", "name")},
	{"Update of kind", "kind", updated("lone", "kind")},
	{"Update of parent", "parent", updated("lone", "parent")},
	{"Update of created_at", "created_at", updated("lone", "created_at")},
	{"Update of updated_at", "updated_at", updated("lone", "updated_at")},
	{"Update of an empty path", "update", updated("lone", "")},
	{"Update of an unknown path", "colour", updated("lone", "colour")},
	{"Update of Labels, in capitals", "Labels", updated("lone", "Labels")},
	{"Update of a label, then of kind", "kind", updated("lone", "labels.a", "kind")},
	{"Update of kind, then of a label", "kind", updated("lone", "kind", "labels.a")},
}...)

func askCodes(s *side) {
	s.committed("base", "", nil)
	s.committed("lone", "", nil)
	s.committed("upper", "base", nil)
	s.committed("viewed", "", nil)
	s.committed("below", "", nil)
	s.committed("above", "below", nil)
	s.must(prepared("active", "base")(s))
	s.must(prepared("second", "")(s))
	s.must(viewed("view", "base")(s))
	s.must(viewed("other view", "viewed")(s))
	before := s.everything()
	for _, refusal := range refusals {
		err := refusal.call(s)
		s.code(refusal.question, err, refusal.about)
		if after := s.everything(); after != before {
			s.t.Fatalf("%s: %s: was %s, is %s", s.name(), refusal.question, before, after)
		}
	}
	s.code("Cleanup", s.cleanup())
	// Field 5 of the request, by which 2.2 asks for "rebase"; 1.6 does not know it.
	request := &snapshotsapi.CommitSnapshotRequest{Snapshotter: proxyName, Name: "new", Key: "second"}
	request.XXX_unrecognized = append([]byte{5<<3 | 2, 4}, "base"...)
	_, err := s.client.Commit(s.ctx, request)
	s.code("Commit with another parent (2.2's rebase)", err, "second", "rebase")
}

// everything is all that List tells, times too.
func (s *side) everything() string {
	infos, err := s.list()
	s.must(err)
	byName := map[string]snapshotsapi.Info{}
	for _, info := range infos {
		byName[info.Name] = info
	}
	return fmt.Sprint(byName) // maps are printed in the order of their keys
}

func askLife(s *side) {
	s.code("Cleanup of a new store", s.cleanup())
	step := func(question string, call func(*side) error) {
		err := call(s)
		s.answer(question, status.Code(err).String()+" → "+s.listed())
	}
	step("Prepare k", prepared("k", ""))
	step("Prepare k again", prepared("k", ""))
	step("Commit k as c", committedAs("c", "k"))
	step("Commit k as c again", committedAs("c", "k"))
	step("Prepare k once more, over c", prepared("k", "c"))
	step("Commit k as c, which is its parent", committedAs("c", "k"))
	step("Commit k as d", committedAs("d", "k"))
	step("View v of d", viewed("v", "d"))
	step("View v again", viewed("v", "d"))
	step("Remove c below d", removed("c"))
	step("Remove d below v", removed("d"))
	step("Remove v", removed("v"))
	step("Remove v again", removed("v"))
	step("Prepare v, the view's key", prepared("v", "d"))
	step("Remove v, active", removed("v"))
	step("Remove d", removed("d"))
	step("View d, once a committed's name", viewed("d", "c"))
	step("Remove d, a view", removed("d"))
	step("Remove c", removed("c"))
	step("Prepare c, once a committed's name", prepared("c", ""))
	step("Commit c as k, once a key", committedAs("k", "c"))
	step("Cleanup", func(s *side) error { return s.cleanup() })
	step("Cleanup again", func(s *side) error { return s.cleanup() })
	step("Remove k", removed("k"))
}
