// Servers as a test's children: the daemon.
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
	daemon, err := daemonCommand(root, withoutContainerd(root))
	if err != nil {
		return nil, nil, err
	}
	return startServer(ctx, daemon, root)
}

// The host's containerd, if there is one, has nothing to do with the daemon.
func withoutContainerd(root string) string {
	return containerdAt(filepath.Join(root, "no-containerd.sock"))
}

func containerdAt(socket string) string { return fmt.Sprintf("[containerd]\naddress = %q\n", socket) }

func daemonCommand(root, config string) (*exec.Cmd, error) {
	path := filepath.Join(root, "config.toml")
	if err := os.WriteFile(path, []byte(config), 0600); err != nil {
		return nil, err
	}
	return exec.Command(*daemonPath, "--config", path, "--root", filepath.Join(root, "state"), "--address", socketBelow(root)), nil
}

func socketBelow(root string) string { return filepath.Join(root, "s.sock") }

// startServer runs a server, whose socket will be below root, as a child.
func startServer(ctx context.Context, server *exec.Cmd, root string) (*grpc.ClientConn, func() error, error) {
	server.Stderr = os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		return nil, nil, err
	}
	conn, err := dial(ctx, socketBelow(root))
	if err != nil {
		_ = server.Process.Kill()
		_ = server.Wait()
		return nil, nil, err
	}
	return conn, func() error {
		conn.Close()
		return stop(server, socketBelow(root))
	}, nil
}

// serverOf is startServer of this command, for startSide.
func serverOf(command *exec.Cmd) func(context.Context, string) (*grpc.ClientConn, func() error, error) {
	return func(ctx context.Context, root string) (*grpc.ClientConn, func() error, error) {
		return startServer(ctx, command, root)
	}
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

// stop ends a server as an init system would, and expects it to go at once and to leave no socket.
func stop(server *exec.Cmd, socket string) error {
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(stopTimeout, func() { _ = server.Process.Kill() })
	defer kill.Stop()
	if err := server.Wait(); err != nil {
		return fmt.Errorf("%s did not end cleanly: %w", server.Path, err)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		return fmt.Errorf("socket left behind: %v", err)
	}
	return nil
}
