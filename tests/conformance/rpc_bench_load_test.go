// Thousands of snapshots at once, below both servers: chains of committed ones, each with two labels and a directory.
// tests/bench/load_snapshots.cc makes the same for the daemon.
package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/storage"
)

// Layers of an image.
const loadedChain = 10

func loadOurs(state string, count int) error {
	loader := exec.Command(*benchLoader, state, strconv.Itoa(count))
	loader.Stderr = os.Stderr
	return loader.Run()
}

func loadTheirs(state string, count int) error {
	if err := os.MkdirAll(filepath.Join(state, "snapshots"), 0700); err != nil {
		return err
	}
	store, err := storage.NewMetaStore(filepath.Join(state, "metadata.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, transaction, err := store.TransactionContext(context.Background(), true)
	if err != nil {
		return err
	}
	for i := 0; i < count; i++ {
		if err := loadOne(ctx, state, i); err != nil {
			_ = transaction.Rollback()
			return err
		}
	}
	return transaction.Commit()
}

func loadOne(ctx context.Context, state string, i int) error {
	name := func(i int) string { return fmt.Sprintf("default/%d/sha256:%064d", i, i) }
	parent := ""
	if i%loadedChain != 0 {
		parent = name(i - 1)
	}
	snapshot, err := storage.CreateSnapshot(ctx, snapshots.KindActive, "loading", parent)
	if err != nil {
		return err
	}
	labels := map[string]string{
		"containerd.io/snapshot.ref": fmt.Sprintf("sha256:%064d", i),
		"bench.owner":                fmt.Sprint(i),
	}
	if _, err := storage.CommitActive(ctx, "loading", name(i), snapshots.Usage{Size: 4096, Inodes: 1}, snapshots.WithLabels(labels)); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(state, "snapshots", snapshot.ID, "fs"), 0755)
}
