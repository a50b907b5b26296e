// One call of containerd's snapshots service with any labels, which ctr cannot give, or of its diff service. SOCKET is
// containerd's or, since both speak the same services, the snapshotter's own; without -namespace no header is sent.
//
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER prepare KEY PARENT [LABEL=VALUE...]
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER commit KEY NAME [LABEL=VALUE...]
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER stat|remove KEY
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER apply MEDIA_TYPE DIGEST SIZE <MOUNTS
//
// Prints the mounts, one a line, the snapshot's name and parent, or digest and size of what was applied. An error is one
// line, its gRPC code first.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	diff "github.com/containerd/containerd/api/services/diff/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
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

// mountsFromStdin reads what prepare prints.
func mountsFromStdin() []*types.Mount {
	var mounts []*types.Mount
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) == 3 {
			mounts = append(mounts, &types.Mount{
				Type: words[0], Source: words[1], Options: strings.Split(words[2], ",")})
		}
	}
	return mounts
}

func apply(ctx context.Context, connection *grpc.ClientConn, a []string) error {
	size, err := strconv.ParseInt(a[2], 10, 64)
	if err != nil {
		return err
	}
	answer, err := diff.NewDiffClient(connection).Apply(ctx, &diff.ApplyRequest{
		Diff:   &types.Descriptor{MediaType: a[0], Digest: digest.Digest(a[1]), Size_: size},
		Mounts: mountsFromStdin()})
	if err == nil {
		fmt.Println(answer.Applied.Digest, answer.Applied.Size_)
	}
	return err
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
	if err == nil && flag.Arg(2) == "apply" && flag.NArg() == 6 {
		err = apply(ctx, connection, flag.Args()[3:])
	} else if err == nil {
		err = call(ctx, snapshots.NewSnapshotsClient(connection), flag.Arg(1), flag.Arg(2), flag.Args()[3:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", status.Code(err), status.Convert(err).Message())
		os.Exit(1)
	}
}
