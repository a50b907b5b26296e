// The daemon as a test's child.
package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/proxy"
	"google.golang.org/grpc"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	// containerd's own limit (defaults.DefaultMaxRecvMsgSize).
	maxMessageBytes = 16 << 20
)

var daemonPath = flag.String("daemon", "", "path of containerd-sluice-grpc")

// startDaemon runs a daemon with socket and state ("state") below root, and returns a connection to it, and
// how to end both.
func startDaemon(ctx context.Context, root string) (*grpc.ClientConn, func() error, error) {
	config := filepath.Join(root, "config.toml")
	// The host's containerd, if there is one, has nothing to do with this.
	containerd := fmt.Sprintf("[containerd]\naddress = %q\n", filepath.Join(root, "no-containerd.sock"))
	if err := os.WriteFile(config, []byte(containerd), 0600); err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(root, "s.sock")
	daemon := exec.Command(*daemonPath, "--config", config, "--root", filepath.Join(root, "state"), "--address", socket)
	daemon.Stderr = os.Stderr
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		return nil, nil, err
	}
	conn, err := dial(ctx, socket)
	if err != nil {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		return nil, nil, err
	}
	return conn, func() error {
		conn.Close()
		return stop(daemon, socket)
	}, nil
}

func dial(ctx context.Context, socket string) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix://"+socket, grpc.WithBlock(), grpc.WithInsecure(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)))
	if err != nil {
		return nil, fmt.Errorf("nobody at %s: %w", socket, err)
	}
	return conn, nil
}

// startSnapshotter is a daemon as the suite of containerd wants it.
func startSnapshotter(ctx context.Context, root string) (snapshots.Snapshotter, func() error, error) {
	conn, stop, err := startDaemon(ctx, root)
	if err != nil {
		return nil, nil, err
	}
	return proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(conn), "sluice"), stop, nil
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
