// containerd's own snapshotter suite (snapshots/testsuite) against the daemon, through the proxy client that containerd
// itself uses. Every case gets a daemon of its own: they run in parallel and their keys collide.
package conformance

import (
	"os"
	"testing"

	"github.com/containerd/containerd/snapshots/testsuite"
)

func TestSnapshotterSuite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the suite mounts: it must run as root")
	}
	testsuite.SnapshotterSuite(t, "sluice", startSnapshotter)
}
