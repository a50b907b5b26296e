// Long lists, and calls while one is read.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func askList(s *side) {
	s.must(prepared("b", "")(s))
	s.must(prepared("a", "")(s))
	infos, err := s.list()
	s.must(err)
	s.answer("a is prepared after b: the order", infos[0].Name+" "+infos[1].Name)
	s.must(s.remove("a"))
	s.must(s.remove("b"))

	// 1,200 labels of 4 KiB are more than a client of gRPC takes in one message.
	label := "label=" + strings.Repeat("v", 4080)
	for i := 0; i < 1200; i++ {
		_, err := s.view(fmt.Sprintf("v%04d", i), "", label)
		s.must(err)
	}
	list, err := s.openList()
	s.must(err)
	infos, batches, err := drain(list)
	s.code("List of 1,200 with 4 KiB of labels each", err)
	most := 0
	for _, size := range batches {
		if size > most {
			most = size
		}
	}
	s.answer("how many it gives, in messages of how many at the most", fmt.Sprintf("%d, %d", len(infos), most))

	list, err = s.openList()
	s.must(err)
	first, err := list.Recv()
	s.must(err)
	s.code("Stat while a list is read", statted("v1199")(s))
	s.code("Prepare while a list is read", prepared("new", "")(s))
	s.code("Commit while a list is read", s.commit("new committed", "new"))
	s.code("Update while a list is read", updated("v1198")(s))
	s.code("Remove while a list is read", s.remove("v1199"))
	s.code("Cleanup while a list is read", s.cleanup())
	rest, _, err := drain(list)
	s.code("the rest of the list", err)
	s.answer("how many it gives, as of its beginning", fmt.Sprint(len(first.Info)+len(rest)))

	// A client that goes away in the middle.
	var leave context.CancelFunc
	leaving := *s
	leaving.ctx, leave = context.WithCancel(s.ctx)
	list, err = leaving.openList("kind==view")
	s.must(err)
	_, err = list.Recv()
	s.must(err)
	leave()
	after, err := s.list("name==\"new committed\"")
	s.must(err)
	s.answer("List after one that nobody read to its end", fmt.Sprint(len(after)))

	for i := 0; i < 100; i++ {
		var labels []string
		for j := 0; j < 50; j++ {
			labels = append(labels, fmt.Sprintf("l%d=%s", j, strings.Repeat("v", 4080)))
		}
		_, err := s.view(fmt.Sprintf("big%d", i), "", labels...)
		s.must(err)
	}
	infos, err = s.list()
	if err == nil {
		s.answer("List where a hundred snapshots have 200 KiB of labels each", fmt.Sprintf("%d snapshots", len(infos)))
	} else {
		s.code("List where a hundred snapshots have 200 KiB of labels each", err)
	}
	listUnderChange(s)
}

// listUnderChange: every list is of one moment, whatever is changed meanwhile: a child never without its parent, which
// containerd's garbage collection would then never find.
func listUnderChange(s *side) {
	for _, name := range []string{"l0", "l1", "l2"} {
		s.committed(name, "", nil)
	}
	var stop atomic.Bool
	var changes, orphans, failures atomic.Int64
	var clients sync.WaitGroup
	for client := 0; client < 4; client++ {
		client := client
		clients.Add(1)
		go func() {
			defer clients.Done()
			for i := 0; !stop.Load(); i++ {
				key, name := fmt.Sprintf("k%d-%d", client, i), fmt.Sprintf("n%d-%d", client, i)
				for _, call := range []func() error{
					func() error { return prepared(key, fmt.Sprint("l", i%3))(s) },
					func() error { return s.commit(name, key) },
					func() error { return prepared(key, name)(s) },
					func() error { return updated(key)(s) },
					func() error { return s.remove(key) },
					func() error { return s.remove(name) },
				} {
					if call() != nil {
						failures.Add(1)
					}
					changes.Add(1)
				}
			}
		}()
	}
	for i := 0; i < 40; i++ {
		infos, err := s.list("kind!=view")
		if err != nil {
			failures.Add(1)
		}
		orphans.Add(int64(orphansIn(infos)))
	}
	stop.Store(true)
	clients.Wait()
	if changes.Load() < 100 {
		s.t.Fatalf("%s: only %d changes were made meanwhile", s.name(), changes.Load())
	}
	s.answer("40 lists while 4 clients change things: failed calls, children without their parent",
		fmt.Sprintf("%d, %d", failures.Load(), orphans.Load()))
}

func orphansIn(infos []snapshotsapi.Info) int {
	names := map[string]bool{"": true}
	for _, info := range infos {
		names[info.Name] = true
	}
	orphans := 0
	for _, info := range infos {
		if !names[info.Parent] {
			orphans++
		}
	}
	return orphans
}

const racers = 16

// race makes the calls at once and counts their codes.
func (s *side) race(question string, call func(client int) error) {
	counts := make([]int, 17)
	var mutex sync.Mutex
	var clients sync.WaitGroup
	start := make(chan struct{})
	for client := 0; client < racers; client++ {
		client := client
		clients.Add(1)
		go func() {
			defer clients.Done()
			<-start
			err := call(client)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			mutex.Lock()
			counts[status.Code(err)]++
			mutex.Unlock()
		}()
	}
	close(start)
	clients.Wait()
	var words []string
	for code, count := range counts {
		if count > 0 {
			words = append(words, fmt.Sprintf("%d %s", count, codes.Code(code)))
		}
	}
	s.answer(question, strings.Join(words, ", "))
}

func askRaces(s *side) {
	s.committed("base", "", nil)
	s.race("Prepare of one key", func(int) error { return prepared("k", "base")(s) })
	s.race("View of one key", func(int) error { return viewed("v", "base")(s) })
	s.race("Prepare of keys of their own over one parent", func(i int) error { return prepared(fmt.Sprint("own", i), "base")(s) })
	s.race("Commit of their own keys as one name", func(i int) error { return s.commit("one", fmt.Sprint("own", i)) })
	s.race("Commit of one key as names of their own", func(i int) error { return s.commit(fmt.Sprint("name", i), "k") })
	s.race("Remove of one key", func(int) error { return s.remove("v") })
	s.race("Update of one label each", func(i int) error {
		label := fmt.Sprint("l", i)
		_, err := s.update(snapshotsapi.Info{Name: "base", Labels: map[string]string{label: "1"}}, "labels."+label)
		return err
	})
	info, err := s.stat("base")
	s.must(err)
	s.answer("how many of the labels there are", fmt.Sprint(len(info.Labels)))
	s.race("Stat, Mounts, Usage, List and Cleanup", func(i int) error {
		calls := []func(*side) error{statted("base"), usageOf("base"), statted("one"),
			func(s *side) error { _, err := s.list(); return err }, (*side).cleanup}
		return calls[i%len(calls)](s)
	})
	infos, err := s.list()
	s.must(err)
	s.answer("children without their parent", fmt.Sprint(orphansIn(infos)))

	s.committed("parent", "", nil)
	// Either may come first; what came too late must be told so.
	s.race("Remove of a parent against Prepare over it, but for those that come too late", func(i int) error {
		late, err := codes.FailedPrecondition, error(nil)
		if i == 0 {
			err = s.remove("parent")
		} else {
			late, err = codes.NotFound, prepared(fmt.Sprint("child", i), "parent")(s)
		}
		if status.Code(err) == late {
			return nil
		}
		return err
	})
	infos, err = s.list()
	s.must(err)
	s.answer("children without their parent then", fmt.Sprint(orphansIn(infos)))
}

const refLabel = "containerd.io/snapshot.ref"

func askLayers(s *side) {
	ref := "sha256:" + strings.Repeat("a", 64)
	label := refLabel + "=" + ref
	s.race("Prepare of keys of their own for one layer", func(i int) error {
		_, err := s.prepare(fmt.Sprintf("ns%d/%d/extract %s", i, i, ref), "", label)
		return err
	})
	s.race("Commit of each under its own name", func(i int) error {
		return s.commit(fmt.Sprintf("ns%d/%d/%s", i, 100+i, ref), fmt.Sprintf("ns%d/%d/extract %s", i, i, ref), label)
	})
	question := fmt.Sprintf(`labels."%s"==%s,parent==""`, refLabel, ref)
	infos, err := s.list(question)
	s.must(err)
	s.answer("containerd's question for it then gives", fmt.Sprintf("%d snapshots", len(infos)))
	_, err = s.prepare("ns0/200/extract again", "", label)
	s.code("Prepare for it again", err, ref)
	_, err = s.view("ns0/200/view", "", label)
	s.code("View with the label", err)
	parent := "ns3/103/" + ref
	upper := "sha256:" + strings.Repeat("b", 64)
	upperLabel := refLabel + "=" + upper
	s.race("Prepare for the layer above one of them", func(i int) error {
		_, err := s.prepare(fmt.Sprintf("ns%d/%d/extract %s", i, 300+i, upper), parent, upperLabel)
		return err
	})
	s.race("Commit as one name", func(i int) error {
		return s.commit("ns0/400/"+upper, fmt.Sprintf("ns%d/%d/extract %s", i, 300+i, upper), upperLabel)
	})
	infos, err = s.list(fmt.Sprintf(`labels."%s"==%s,parent==%q,kind==committed`, refLabel, upper, parent))
	s.must(err)
	s.answer("containerd's question for it, of those committed", fmt.Sprintf("%d snapshot", len(infos)))
	_, err = s.prepare("ns0/500/same parent", parent, upperLabel)
	s.code("Prepare for it again, over that parent", err, upper)
	_, err = s.prepare("ns0/501/other parent", "ns4/104/"+ref, upperLabel)
	s.code("Prepare for it over another parent", err)
	_, err = s.prepare("ns0/502/no parent", "", upperLabel)
	s.code("Prepare for it without parent", err)
	infos, err = s.list(fmt.Sprintf(`labels."%s"==%s,parent=="missing"`, refLabel, upper))
	s.must(err)
	s.answer("over a parent that is not there", fmt.Sprintf("%d snapshots", len(infos)))
	s.must(s.remove("ns0/400/" + upper))
	_, err = s.prepare("ns0/503/after removal", parent, upperLabel)
	s.code("Prepare for it when it was removed", err)
	for _, odd := range []struct{ question, ref string }{
		{"a label that is no digest", "../../etc/passwd"}, {"a digest in capitals", strings.ToUpper(ref)}, {"an empty label", ""},
		{"another algorithm", "sha512:" + strings.Repeat("a", 128)},
	} {
		_, err = s.prepare("odd "+odd.question, "", refLabel+"="+odd.ref)
		s.code(odd.question, err)
	}
	_, err = s.prepare("missing parent", "none", label)
	s.code("over a parent that is missing", err, "none")
	_, err = s.prepare("active parent", "ns0/503/after removal", label)
	s.code("over a parent that is active", err, "ns0/503/after removal")
}
