// containerd's own snapshotter suite (snapshots/testsuite) against the daemon, through the proxy client that containerd
// itself uses. Every case gets a daemon of its own: they run in parallel and their keys collide.
package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/proxy"
	"github.com/containerd/containerd/snapshots/testsuite"
	"google.golang.org/grpc"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

var daemonPath = flag.String("daemon", "", "path of containerd-sluice-grpc")

func TestSnapshotterSuite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the suite mounts: it must run as root")
	}
	testsuite.SnapshotterSuite(t, "sluice", startSnapshotter)
}

// startSnapshotter runs a daemon with socket and state below root and returns a client for it, and how to end both.
func startSnapshotter(ctx context.Context, root string) (snapshots.Snapshotter, func() error, error) {
	config := filepath.Join(root, "config.toml")
	if err := os.WriteFile(config, nil, 0600); err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(root, "s.sock")
	daemon := exec.Command(*daemonPath, "--config", config, "--root", filepath.Join(root, "state"), "--address", socket)
	daemon.Stderr = os.Stderr
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		return nil, nil, err
	}

	dialCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := grpc.DialContext(dialCtx, "unix://"+socket, grpc.WithBlock(), grpc.WithInsecure())
	if err != nil {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		return nil, nil, fmt.Errorf("no daemon at %s: %w", socket, err)
	}
	snapshotter := proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(conn), "sluice")
	return snapshotter, func() error {
		conn.Close()
		return stop(daemon, socket)
	}, nil
}

// stop ends the daemon as an init system would, and expects it to go at once and to leave no socket.
func stop(daemon *exec.Cmd, socket string) error {
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(stopTimeout, func() { _ = daemon.Process.Kill() })
	defer kill.Stop()
	if err := daemon.Wait(); err != nil {
		return fmt.Errorf("daemon did not end cleanly: %w", err)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		return fmt.Errorf("socket left behind: %v", err)
	}
	return nil
}
