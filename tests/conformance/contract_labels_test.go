// Labels and times: what Update may change, and what each call sets.
package conformance

import (
	"fmt"
	"strings"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/status"
)

func sameNames(a, b []snapshotsapi.Info) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d snapshots, not %d", len(a), len(b))
	}
	return "everything"
}

func askUpdate(s *side) {
	s.must(prepared("p", "")(s))
	s.must(s.commit("base", "p", "keep=1"))
	try := func(question, name string, labels map[string]string, paths ...string) {
		answered, err := s.update(snapshotsapi.Info{Name: name, Parent: "changed", Kind: snapshotsapi.KindView,
			CreatedAt: time.Unix(1, 0), UpdatedAt: time.Unix(2, 0), Labels: labels}, paths...)
		text := status.Code(err).String() + ", still: "
		if err == nil {
			text = ""
		}
		stored, statErr := s.stat(name)
		s.must(statErr)
		text += labelText(stored.Labels)
		if err == nil && fmt.Sprint(answered) != fmt.Sprint(stored) {
			text += fmt.Sprintf(", but Update answers %v and Stat %v", answered, stored)
		}
		if stored.Parent != "" || stored.Name != name {
			text += fmt.Sprintf(", and it is %s of %s", stored.Name, stored.Parent)
		}
		s.answer(question, text)
	}
	type m = map[string]string
	try("no path: all labels are replaced", "base", m{"a": "1", "b": "2"})
	try("labels: all of them", "base", m{"c": "3", "d.e": "4"}, "labels")
	try("labels.c: one is set", "base", m{"c": "5", "x": "6"}, "labels.c")
	try("labels.new: one is added", "base", m{"new": "7"}, "labels.new")
	try("labels.d.e: a dot", "base", m{"d.e": "8"}, "labels.d.e")
	try("labels.containerd.io/snapshot/x: slashes", "base", m{"containerd.io/snapshot/x": "9"}, "labels.containerd.io/snapshot/x")
	try(`labels."q": quotes are part of the key`, "base", m{`"q"`: "10", "q": "11"}, `labels."q"`)
	try("labels.c and labels.new", "base", m{"c": "12", "new": "13"}, "labels.c", "labels.new")
	try("labels.c that is not given: removed", "base", m{"x": "y"}, "labels.c")
	try("labels.new that is empty: removed", "base", m{"new": ""}, "labels.new")
	try("labels.none that never was", "base", nil, "labels.none")
	try("labels.d.e with no labels at all", "base", nil, "labels.d.e")
	try("labels. without a key", "base", m{"a": "b"}, "labels.")
	try("labels. with a label without a key", "base", m{"": "b"}, "labels.")
	try("a label without a key", "base", m{"": "b"})
	try("a label without key and value", "base", m{"": "", "a": "1"})
	try("labels.a twice", "base", m{"a": "2"}, "labels.a", "labels.a")
	try("labels, then labels.a", "base", m{"a": "3", "b": "4"}, "labels", "labels.a")
	try("labels.a, then labels", "base", m{"a": "5", "b": "6"}, "labels.a", "labels")
	try("labels.a, then parent", "base", m{"a": "7"}, "labels.a", "parent")
	try("a dot first", "base", m{".a": "8"}, "labels..a")
	try("an empty value among others", "base", m{"a": "", "b": "9"})
	try("values with spaces, line ends and a zero", "base", m{"a": " x\n\x00y "})
	try("a value of 4 KiB", "base", m{"a": strings.Repeat("v", 4096)})
	try("a key of 4 KiB", "base", m{strings.Repeat("k", 4096): "1"})
	try("a hundred labels", "base", hundredLabels())
	try("no label: all are gone", "base", nil)
	s.must(prepared("active", "")(s))
	try("of an active", "active", m{"a": "1"})
	s.must(viewed("view", "")(s))
	try("of a view", "view", m{"a": "1"}, "labels.a")

	labelsOfCalls(s)
}

func hundredLabels() map[string]string {
	labels := map[string]string{}
	for i := 0; i < 100; i++ {
		labels[fmt.Sprintf("label%d", i)] = fmt.Sprint(i)
	}
	return labels
}

// labelsOfCalls: those that Prepare, View and Commit are given.
func labelsOfCalls(s *side) {
	stored := func(question, key string) {
		info, err := s.stat(key)
		s.must(err)
		s.answer(question, labelText(info.Labels))
	}
	_, err := s.prepare("labelled", "", "old=1", "empty=", "containerd.io/gc.root=now")
	s.must(err)
	stored("Prepare with labels, one of them empty", "labelled")
	s.must(s.commit("committed", "labelled", "new=2", "empty="))
	stored("Commit with others: nothing is inherited", "committed")
	_, err = s.prepare("unlabelled", "committed", "old=1")
	s.must(err)
	s.must(s.commit("bare", "unlabelled"))
	stored("Commit with none", "bare")
	_, err = s.view("labelled view", "bare", "v=1")
	s.must(err)
	stored("View with a label", "labelled view")
	_, err = s.prepare("no label key", "", "=x")
	s.code("Prepare with a label without a key", err, "label")
	_, err = s.view("no label key", "", "=x")
	s.code("View with a label without a key", err, "label")
	s.must(prepared("to commit", "")(s))
	s.code("Commit with a label without a key", s.commit("not committed", "to commit", "=x"), "label")
	s.answer("what there is then", s.listed())
}

func askTimes(s *side) {
	order := func(question string, times ...time.Time) {
		text := ""
		for i, t := range times {
			if i > 0 {
				switch {
				case t.Equal(times[i-1]):
					text += "="
				case t.After(times[i-1]):
					text += "<"
				default:
					text += ">"
				}
			}
			if t.IsZero() {
				text += "0"
			} else {
				text += string(rune('a' + i))
			}
		}
		s.answer(question, text)
	}
	info := func(key string) snapshotsapi.Info {
		i, err := s.stat(key)
		s.must(err)
		return i
	}
	pause := func() time.Time { time.Sleep(2 * time.Millisecond); return time.Now() }
	begin := pause()
	s.must(prepared("k", "")(s))
	made := info("k")
	order("Prepare: the clock (a), created (b), updated (c), the clock (d)", begin, made.CreatedAt, made.UpdatedAt, pause())
	changed, err := s.update(snapshotsapi.Info{Name: "k", Labels: map[string]string{"a": "b"}})
	s.must(err)
	order("Update: created before (a) and after (b), updated (c), the clock (d)", made.CreatedAt, changed.CreatedAt, changed.UpdatedAt, pause())
	order("Stat says what Update said: updated (a, b)", changed.UpdatedAt, info("k").UpdatedAt)
	_, err = s.update(snapshotsapi.Info{Name: "k"}, "labels.a", "parent")
	s.code("an Update that is refused", err, "parent")
	order("leaves updated (a, b) as it was", changed.UpdatedAt, info("k").UpdatedAt)
	before := pause()
	s.must(s.commit("c", "k"))
	committed := info("c")
	order("Commit: the clock (a), created (b), updated (c), the clock (d)", before, committed.CreatedAt, committed.UpdatedAt, pause())
	again, err := s.update(snapshotsapi.Info{Name: "c"}, "labels.none")
	s.must(err)
	order("an Update that changes nothing: updated before (a) and after (b)", committed.UpdatedAt, again.UpdatedAt)
	s.must(viewed("v", "c")(s))
	view := info("v")
	order("View: created (a), updated (b), the clock (c)", view.CreatedAt, view.UpdatedAt, pause())
	s.must(prepared("child", "c")(s))
	order("a child changes nothing of its parent: updated (a, b)", again.UpdatedAt, info("c").UpdatedAt)
	listed, err := s.list("name==c")
	s.must(err)
	order("List says what Stat says: updated (a, b)", info("c").UpdatedAt, listed[0].UpdatedAt)
	kept := view.CreatedAt.Nanosecond()%1000 != 0 || view.UpdatedAt.Nanosecond()%1000 != 0 || made.CreatedAt.Nanosecond()%1000 != 0 ||
		committed.CreatedAt.Nanosecond()%1000 != 0
	s.answer("times have nanoseconds", fmt.Sprint(kept))
}
