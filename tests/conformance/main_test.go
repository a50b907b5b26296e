// The test program is a server, too: containerd's overlay snapshotter in a process of its own, as the daemon has one.
package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

var overlayRoot = flag.String("serve-overlay", "",
	"run no test, but serve containerd's overlay snapshotter, with socket and state below this directory, until SIGTERM")

func TestMain(m *testing.M) {
	flag.Parse()
	if *overlayRoot == "" {
		os.Exit(m.Run())
	}
	if err := serveOverlay(*overlayRoot); err != nil {
		fmt.Fprintln(os.Stderr, "overlayfs:", err)
		os.Exit(1)
	}
}

func serveOverlay(root string) error {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	_, stopServing, err := startOverlay(context.Background(), root)
	if err != nil {
		return err
	}
	<-terminated
	return stopServing()
}

func overlayCommand(root string) *exec.Cmd {
	return exec.Command(os.Args[0], "-serve-overlay", root)
}
