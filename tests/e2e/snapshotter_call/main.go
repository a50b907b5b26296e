// One call of containerd's snapshots service with any labels, which ctr cannot give. SOCKET is containerd's or, since both
// speak the same service, the snapshotter's own; without -namespace no header is sent.
//
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER prepare KEY PARENT [LABEL=VALUE...]
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER commit KEY NAME [LABEL=VALUE...]
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER stat|remove KEY
//
// Prints the mounts or the snapshot's name and parent. An error is one line, its gRPC code first.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func labelsOf(arguments []string) map[string]string {
	labels := map[string]string{}
	for _, argument := range arguments {
		if at := strings.Index(argument, "="); at > 0 {
			labels[argument[:at]] = argument[at+1:]
		}
	}
	return labels
}

func call(ctx context.Context, client snapshots.SnapshotsClient, snapshotter, verb string, a []string) error {
	switch {
	case verb == "prepare" && len(a) >= 2:
		answer, err := client.Prepare(ctx, &snapshots.PrepareSnapshotRequest{
			Snapshotter: snapshotter, Key: a[0], Parent: a[1], Labels: labelsOf(a[2:])})
		if err != nil {
			return err
		}
		for _, mount := range answer.Mounts {
			fmt.Println(mount.Type, mount.Source, strings.Join(mount.Options, ","))
		}
		return nil
	case verb == "commit" && len(a) >= 2:
		_, err := client.Commit(ctx, &snapshots.CommitSnapshotRequest{
			Snapshotter: snapshotter, Key: a[0], Name: a[1], Labels: labelsOf(a[2:])})
		return err
	case verb == "stat" && len(a) == 1:
		answer, err := client.Stat(ctx, &snapshots.StatSnapshotRequest{Snapshotter: snapshotter, Key: a[0]})
		if err == nil {
			fmt.Println(answer.Info.Name, answer.Info.Parent)
		}
		return err
	case verb == "remove" && len(a) == 1:
		_, err := client.Remove(ctx, &snapshots.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: a[0]})
		return err
	}
	return fmt.Errorf("no such call: %s with %d arguments", verb, len(a))
}

func main() {
	namespace := flag.String("namespace", "", "containerd's namespace")
	flag.Parse()
	if flag.NArg() < 4 {
		fmt.Fprintln(os.Stderr, "usage: snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER VERB KEY ...")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if *namespace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", *namespace)
	}
	connection, err := grpc.DialContext(ctx, "unix:"+flag.Arg(0), grpc.WithInsecure(), grpc.WithBlock())
	if err == nil {
		err = call(ctx, snapshots.NewSnapshotsClient(connection), flag.Arg(1), flag.Arg(2), flag.Args()[3:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", status.Code(err), status.Convert(err).Message())
		os.Exit(1)
	}
}
