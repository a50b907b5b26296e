// The two sides of a comparison: containerd's overlay snapshotter and the daemon, each behind a socket of its own, asked by
// the same client.
package conformance

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/mount"
	"github.com/containerd/containerd/snapshots/overlay"
	ptypes "github.com/gogo/protobuf/types"
	"google.golang.org/grpc"
)

// A side is one server, fresh, and the calls that a case makes of it. Calls that must work end the test if they don't.
type side struct {
	t      *testing.T
	ours   bool
	ctx    context.Context
	root   string // snapshots/<n>/{fs,work} lie below
	client snapshotsapi.SnapshotsClient
	// What was asked and answered, in order.
	answers []answer
	mutex   *sync.Mutex       // of ids, where a case is many clients
	ids     map[string]string // numbers of directories → in the order in which they were made
}

// startOverlay serves containerd's overlay snapshotter as its contrib/snapshotservice does.
func startOverlay(ctx context.Context, root string) (*grpc.ClientConn, func() error, error) {
	snapshotter, err := overlay.NewSnapshotter(filepath.Join(root, "state"))
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("unix", socketBelow(root))
	if err != nil {
		return nil, nil, err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes))
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	go func() { _ = server.Serve(listener) }()
	conn, err := dial(ctx, socketBelow(root))
	if err != nil {
		return nil, nil, err
	}
	return conn, func() error {
		conn.Close()
		server.Stop()
		return snapshotter.Close()
	}, nil
}

// newSide starts one, which ends with the test.
func newSide(t *testing.T, ours bool) *side {
	t.Helper()
	root, err := os.MkdirTemp("", "side-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	if ours {
		return startSide(t, ours, root, startDaemon)
	}
	return startSide(t, ours, root, startOverlay)
}

// startSide starts a server with socket and state below root; it ends with the test.
func startSide(t *testing.T, ours bool, root string,
	start func(context.Context, string) (*grpc.ClientConn, func() error, error)) *side {
	t.Helper()
	ctx := context.Background()
	conn, stop, err := start(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return &side{t: t, ours: ours, ctx: ctx, root: filepath.Join(root, "state"),
		client: snapshotsapi.NewSnapshotsClient(conn), mutex: &sync.Mutex{}, ids: map[string]string{}}
}

// must ends the test where a call fails that is only there to get somewhere.
func (s *side) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", s.name(), err)
	}
}

func (s *side) name() string {
	if s.ours {
		return "sluice"
	}
	return "overlayfs"
}

const proxyName = "sluice"

// labelsOf makes a map of "key=value" words.
func labelsOf(words []string) map[string]string {
	if len(words) == 0 {
		return nil
	}
	labels := map[string]string{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		labels[key] = value
	}
	return labels
}

func (s *side) prepare(key, parent string, labels ...string) ([]*types.Mount, error) {
	answer, err := s.client.Prepare(s.ctx, &snapshotsapi.PrepareSnapshotRequest{
		Snapshotter: proxyName, Key: key, Parent: parent, Labels: labelsOf(labels)})
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.portable(ownDirectory(answer.Mounts))
	return answer.Mounts, nil
}

func (s *side) view(key, parent string, labels ...string) ([]*types.Mount, error) {
	answer, err := s.client.View(s.ctx, &snapshotsapi.ViewSnapshotRequest{
		Snapshotter: proxyName, Key: key, Parent: parent, Labels: labelsOf(labels)})
	if err != nil {
		return nil, err
	}
	return answer.Mounts, nil
}

func (s *side) mounts(key string) ([]*types.Mount, error) {
	answer, err := s.client.Mounts(s.ctx, &snapshotsapi.MountsRequest{Snapshotter: proxyName, Key: key})
	if err != nil {
		return nil, err
	}
	return answer.Mounts, nil
}

func (s *side) commit(name, key string, labels ...string) error {
	_, err := s.client.Commit(s.ctx, &snapshotsapi.CommitSnapshotRequest{
		Snapshotter: proxyName, Name: name, Key: key, Labels: labelsOf(labels)})
	return err
}

func (s *side) remove(key string) error {
	_, err := s.client.Remove(s.ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: proxyName, Key: key})
	return err
}

func (s *side) stat(key string) (snapshotsapi.Info, error) {
	answer, err := s.client.Stat(s.ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: proxyName, Key: key})
	if err != nil {
		return snapshotsapi.Info{}, err
	}
	return answer.Info, nil
}

func (s *side) update(info snapshotsapi.Info, paths ...string) (snapshotsapi.Info, error) {
	answer, err := s.client.Update(s.ctx, &snapshotsapi.UpdateSnapshotRequest{
		Snapshotter: proxyName, Info: info, UpdateMask: &ptypes.FieldMask{Paths: paths}})
	if err != nil {
		return snapshotsapi.Info{}, err
	}
	return answer.Info, nil
}

func (s *side) usage(key string) (*snapshotsapi.UsageResponse, error) {
	return s.client.Usage(s.ctx, &snapshotsapi.UsageRequest{Snapshotter: proxyName, Key: key})
}

func (s *side) cleanup() error {
	_, err := s.client.Cleanup(s.ctx, &snapshotsapi.CleanupRequest{Snapshotter: proxyName})
	return err
}

func (s *side) openList(filters ...string) (snapshotsapi.Snapshots_ListClient, error) {
	return s.client.List(s.ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: proxyName, Filters: filters})
}

// drain reads a list to its end: the infos, and how many came in each message.
func drain(list snapshotsapi.Snapshots_ListClient) (infos []snapshotsapi.Info, batches []int, err error) {
	for {
		message, err := list.Recv()
		if errors.Is(err, io.EOF) {
			return infos, batches, nil
		}
		if err != nil {
			return nil, nil, err
		}
		infos = append(infos, message.Info...)
		batches = append(batches, len(message.Info))
	}
}

func (s *side) list(filters ...string) ([]snapshotsapi.Info, error) {
	list, err := s.openList(filters...)
	if err != nil {
		return nil, err
	}
	infos, _, err := drain(list)
	return infos, err
}

// committed makes a committed snapshot, whose own directory fill may have written to.
func (s *side) committed(name, parent string, fill func(directory string)) {
	s.t.Helper()
	mounts, err := s.prepare("making "+name, parent)
	s.must(err)
	if fill != nil {
		fill(ownDirectory(mounts))
	}
	s.must(s.commit(name, "making "+name))
}

// ownDirectory is where an active snapshot's changes go, as containerd's applier finds it.
func ownDirectory(mounts []*types.Mount) string {
	for _, option := range mounts[0].Options {
		if strings.HasPrefix(option, "upperdir=") {
			return strings.TrimPrefix(option, "upperdir=")
		}
	}
	return mounts[0].Source
}

// mounted calls use with the directory where the mounts are mounted, by the code that containerd mounts with.
func (s *side) mounted(mounts []*types.Mount, use func(directory string)) {
	s.t.Helper()
	target, err := os.MkdirTemp("", "mount-")
	s.must(err)
	all := make([]mount.Mount, len(mounts))
	for i, m := range mounts {
		all[i] = mount.Mount{Type: m.Type, Source: m.Source, Options: m.Options}
	}
	s.must(mount.All(all, target))
	defer func() {
		s.must(mount.UnmountAll(target, 0))
		s.must(os.Remove(target))
	}()
	use(target)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0644); err != nil {
		t.Fatal(err)
	}
}
