// How long Prepare takes, asked of containerd as for a new container: over a committed snapshot, and removed again at
// once. One after the other, with a pause between them, until stdin ends.
//
//	prepare_latency SOCKET NAMESPACE SNAPSHOTTER PARENT
//
// Prints one line: how many, their median, the 99th percentile and the longest, in milliseconds.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/namespaces"
)

const pause = 10 * time.Millisecond

func measure(socket, namespace, snapshotter, parent string, end <-chan struct{}) ([]time.Duration, error) {
	client, err := containerd.New(socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx := namespaces.WithNamespace(context.Background(), namespace)
	service := client.SnapshotService(snapshotter)
	var took []time.Duration
	for i := 0; ; i++ {
		select {
		case <-end:
			return took, nil
		case <-time.After(pause):
		}
		key := fmt.Sprintf("latency-%d-%d", os.Getpid(), i)
		start := time.Now()
		if _, err := service.Prepare(ctx, key, parent); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
		// Nothing names it: garbage collection may have been faster.
		if err := service.Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: prepare_latency SOCKET NAMESPACE SNAPSHOTTER PARENT")
		os.Exit(2)
	}
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	took, err := measure(os.Args[1], os.Args[2], os.Args[3], os.Args[4], end)
	if err == nil && len(took) == 0 {
		err = fmt.Errorf("ended before it began")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare_latency:", err)
		os.Exit(1)
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	fmt.Printf("%d %.2f %.2f %.2f\n", len(took), milliseconds(took[len(took)/2]), milliseconds(took[len(took)*99/100]), milliseconds(took[len(took)-1]))
}
