// The calls that the bench asks, in an order in which each finds what it is about.
package conformance

import (
	"fmt"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
)

type benchCall struct {
	name string
	// Whether something changes that must outlive a power cut when the answer is there.
	changes bool
	// The answer has as many entries as there are snapshots.
	isListed bool
	before   func(s *benchServer, key string) error // not measured
	run      func(s *benchServer, key string) error
}

// A list of everything takes as long as everything else.
func (c *benchCall) perTurn() int {
	if c.isListed {
		return 5
	}
	return benchTurn
}

// The chain that every server has, whatever else is in it.
func layerName(i int) string { return fmt.Sprintf("default/%d/sha256:layer-%064d", i, i) }

var benchTop = layerName(loadedChain - 1)

func onlyError(_ []*types.Mount, err error) error { return err }

func listOf(want int, filters ...string) func(s *benchServer, key string) error {
	return func(s *benchServer, _ string) error {
		infos, err := s.list(filters...)
		if err == nil && len(infos) < want {
			return fmt.Errorf("%d snapshots listed instead of %d", len(infos), want)
		}
		return err
	}
}

func prepareContainer(s *benchServer, key string) error {
	return onlyError(s.prepare("container "+key, benchTop, "bench.owner=c"+key))
}

var benchCalls = []*benchCall{
	{name: "Prepare, no parent", changes: true, run: func(s *benchServer, key string) error {
		return onlyError(s.prepare("layer "+key, "", "bench.owner=l"+key))
	}},
	{name: "Prepare over 10 layers", changes: true, run: prepareContainer},
	{name: "View of 10 layers", changes: true, run: func(s *benchServer, key string) error {
		return onlyError(s.view("view "+key, benchTop))
	}},
	{name: "Mounts", run: func(s *benchServer, key string) error { return onlyError(s.mounts("container " + key)) }},
	{name: "Stat", run: func(s *benchServer, key string) error {
		_, err := s.stat("container " + key)
		return err
	}},
	{name: "Update of a label", changes: true, run: func(s *benchServer, key string) error {
		_, err := s.update(snapshotsapi.Info{Name: "container " + key, Labels: labelsOf([]string{"bench.updated=" + key})},
			"labels.bench.updated")
		return err
	}},
	{name: "Commit", changes: true, run: func(s *benchServer, key string) error {
		return s.commit("committed "+key, "layer "+key)
	}},
	{name: "Usage of a committed one", run: func(s *benchServer, _ string) error {
		_, err := s.usage(benchTop)
		return err
	}},
	{name: "List by ref and parent", run: listOf(0, `labels."containerd.io/snapshot.ref"==sha256:none,parent==""`)},
	{name: "List by a label", run: func(s *benchServer, key string) error {
		return listOf(1, "labels.bench.owner==c"+key)(s, key)
	}},
	{name: "List, whole", isListed: true, run: func(s *benchServer, key string) error { return listOf(s.population)(s, key) }},
	{name: "Remove of an active one", changes: true, run: func(s *benchServer, key string) error { return s.remove("container " + key) }},
	{name: "Remove of a view", changes: true, run: func(s *benchServer, key string) error { return s.remove("view " + key) }},
	{name: "Remove of a committed one", changes: true, run: func(s *benchServer, key string) error { return s.remove("committed " + key) }},
	{name: "Cleanup, nothing to do", before: func(s *benchServer, _ string) error { return s.cleanup() },
		run: func(s *benchServer, _ string) error { return s.cleanup() }},
	{name: "Remove and Cleanup", changes: true, before: prepareContainer, run: func(s *benchServer, key string) error {
		if err := s.remove("container " + key); err != nil {
			return err
		}
		return s.cleanup()
	}},
}
