// Keys of every kind, and whose they are.
package conformance

import (
	"fmt"
	"strings"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// found tells whether Stat and List give this key, and as what.
func (s *side) found(key string) string {
	info, err := s.stat(key)
	if err != nil {
		return "Stat " + status.Code(err).String()
	}
	if info.Name != key {
		return fmt.Sprintf("Stat says %q", info.Name)
	}
	infos, err := s.list()
	if err != nil {
		return "List " + status.Code(err).String()
	}
	for _, listed := range infos {
		if listed.Name == key {
			return kindName(listed.Kind)
		}
	}
	return "List has not got it"
}

func askNames(s *side) {
	names := []struct{ question, key string }{
		{"spaces", " extract-123-AbCd sha256:0123 "}, {"slashes", "/a//b/"}, {"a relative path", "../../../../etc/passwd"},
		{"an absolute path", "/etc/passwd"}, {"one dot", "."}, {"two dots", ".."}, {"a slash", "/"}, {"a number", "1"},
		{"a staging name", "new-123"}, {"quotes", `"a" 'b' ` + "`c`"}, {"SQL", "'; DROP TABLE snapshot; --"}, {"percent and underscore", "%_"},
		{"line ends", "a\nb\r\n"}, {"a zero byte", "a\x00b"}, {"only a zero byte", "\x00"}, {"control characters", "\x01\x1b[31m\x7f"},
		{"UTF-8", "snäpshot-快照-🙂"}, {"the same letters composed otherwise", "sna\u0308pshot-快照-🙂"}, {"capitals", "SNÄPSHOT-快照-🙂"},
		{"comma, colon, equals", "a,b:c=d"}, {"4,096 bytes", strings.Repeat("k", 4096)}, {"4,096 bytes, another end", strings.Repeat("k", 4095) + "l"},
		{"30,000 bytes", strings.Repeat("/k", 15000)}, {"a mangled key", "k8s.io/57/extract-1-AbCd sha256:0123"},
		{"a trailing slash", "name/"}, {"the same without", "name"},
	}
	for _, name := range names {
		if _, err := s.prepare(name.key, ""); err != nil {
			s.code(name.question, err)
			continue
		}
		text := s.found(name.key)
		committed := name.key + "c"
		for _, call := range []func() error{
			func() error { return s.commit(committed, name.key) },
			func() error { _, err := s.prepare(name.key, committed); return err },
			func() error { return s.commit("child "+name.key, name.key) },
		} {
			if err := call(); err != nil {
				text += ", " + status.Code(err).String()
			}
		}
		text += ", " + s.found(committed) + ", " + s.found("child "+name.key)
		if info, err := s.stat("child " + name.key); err == nil && info.Parent != committed {
			text += fmt.Sprintf(", with the parent %q", info.Parent)
		}
		listed, err := s.list(fmt.Sprintf("parent==%q", committed))
		text += fmt.Sprintf(", %d child by filter", len(listed))
		if err != nil {
			text += ", " + status.Code(err).String()
		}
		s.answer(name.question, text)
	}
	for _, name := range names {
		if s.found("child "+name.key) == "committed" {
			s.must(s.remove("child " + name.key))
			s.must(s.remove(name.key + "c"))
		}
	}
	s.answer("what is left when all are removed", "nothing"+s.listed())

	// 1.6's protocol buffers send what they are given; those of 2.x refuse to, on both sides.
	_, err := s.prepare("bad\xff", "")
	s.code("a key that is not UTF-8", err)
	s.code("its Stat", statted("bad\xff")(s))
	_, err = s.prepare("good", "", "label=bad\xff")
	s.code("a label's value that is not UTF-8", err)
	_, err = s.list("name==bad\xff")
	s.code("a filter that is not UTF-8", err)
}

func askNamespaces(s *side) {
	in := func(namespace string) *side {
		other := *s
		other.ctx = metadata.AppendToOutgoingContext(s.ctx, "containerd-namespace", namespace)
		return &other
	}
	s.committed("default/1/sha256:aa", "", nil)
	s.committed("k8s.io/2/sha256:aa", "", nil)
	s.must(prepared("default/3/extract sha256:bb", "default/1/sha256:aa")(s))
	s.code("the same client's key in another namespace", prepared("k8s.io/3/extract sha256:bb", "k8s.io/2/sha256:aa")(s))
	s.code("the same number and key again", prepared("default/3/extract sha256:bb", "default/1/sha256:aa")(s))
	s.code("a parent of another namespace", prepared("k8s.io/4/extract sha256:bb", "default/1/sha256:aa")(s))
	s.code("with the header of the key's namespace", prepared("default/5/x", "")(in("default")))
	s.code("with the header of another", prepared("default/6/x", "")(in("k8s.io")), "k8s.io", "default/6/x")
	s.code("View with the header of another", viewed("default/7/x", "")(in("k8s.io")), "k8s.io", "default/7/x")
	s.code("Stat with the header of another", statted("default/5/x")(in("k8s.io")))
	all, err := s.list()
	s.must(err)
	some, err := in("k8s.io").list()
	s.must(err)
	s.answer("List with a header", sameNames(some, all))
	s.code("Remove with the header of another", removed("default/5/x")(in("k8s.io")))
	for _, key := range []string{"default/6/x", "default/7/x"} {
		_ = s.remove(key) // where the header is not looked at, it is there
	}
	s.answer("what there is then", s.listed())

	// Another name in containerd's proxy_plugins table, for the same socket.
	_, err = s.client.Prepare(s.ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: "another", Key: "default/3/extract sha256:bb"})
	s.code("the same key under another plugin's name", err)
	_, err = s.client.Stat(s.ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: "another", Key: "default/1/sha256:aa"})
	s.code("Stat under another plugin's name", err)
	list, err := s.client.List(s.ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: "third"})
	s.must(err)
	infos, _, err := drain(list)
	s.must(err)
	s.answer("List under a third plugin's name", fmt.Sprintf("%d snapshots", len(infos)))
}
