// One call of containerd's snapshots service with any labels, which ctr cannot give, or of its diff service. SOCKET is
// containerd's or, since both speak the same services, the snapshotter's own; without -namespace no header is sent.
//
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER prepare KEY PARENT [LABEL=VALUE...]
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER commit KEY NAME [LABEL=VALUE...]
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER stat|mounts|remove KEY
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER update KEY LABEL[=VALUE]...
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER list
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER cleanup
//	snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER apply MEDIA_TYPE DIGEST SIZE <MOUNTS
//
// Prints the mounts, one a line, the snapshot's name and parent, or digest and size of what was applied; list prints a
// line of JSON for each snapshot, with its usage. An error is one line, its gRPC code first.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	diff "github.com/containerd/containerd/api/services/diff/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	ptypes "github.com/gogo/protobuf/types"
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

func printMounts(mounts []*types.Mount) {
	for _, mount := range mounts {
		fmt.Println(mount.Type, mount.Source, strings.Join(mount.Options, ","))
	}
}

// listed is what list prints of a snapshot.
type listed struct {
	Name   string            `json:"name"`
	Parent string            `json:"parent"`
	Kind   string            `json:"kind"`
	Labels map[string]string `json:"labels"`
	Bytes  int64             `json:"bytes"`
	Inodes int64             `json:"inodes"`
}

func list(ctx context.Context, client snapshots.SnapshotsClient, snapshotter string) error {
	stream, err := client.List(ctx, &snapshots.ListSnapshotsRequest{Snapshotter: snapshotter})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, info := range answer.Info {
			usage, err := client.Usage(ctx, &snapshots.UsageRequest{Snapshotter: snapshotter, Key: info.Name})
			if err != nil {
				return err
			}
			if err := out.Encode(listed{info.Name, info.Parent, info.Kind.String(), info.Labels, usage.Size_,
				usage.Inodes}); err != nil {
				return err
			}
		}
	}
}

func update(ctx context.Context, client snapshots.SnapshotsClient, snapshotter string, a []string) error {
	mask := &ptypes.FieldMask{}
	for _, argument := range a[1:] {
		mask.Paths = append(mask.Paths, "labels."+strings.SplitN(argument, "=", 2)[0])
	}
	_, err := client.Update(ctx, &snapshots.UpdateSnapshotRequest{
		Snapshotter: snapshotter, Info: snapshots.Info{Name: a[0], Labels: labelsOf(a[1:])}, UpdateMask: mask})
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
		printMounts(answer.Mounts)
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
	case verb == "mounts" && len(a) == 1:
		answer, err := client.Mounts(ctx, &snapshots.MountsRequest{Snapshotter: snapshotter, Key: a[0]})
		if err == nil {
			printMounts(answer.Mounts)
		}
		return err
	case verb == "update" && len(a) >= 2:
		return update(ctx, client, snapshotter, a)
	case verb == "list" && len(a) == 0:
		return list(ctx, client, snapshotter)
	case verb == "cleanup" && len(a) == 0:
		_, err := client.Cleanup(ctx, &snapshots.CleanupRequest{Snapshotter: snapshotter})
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
	if flag.NArg() < 3 {
		fmt.Fprintln(os.Stderr, "usage: snapshotter_call [-namespace NS] SOCKET SNAPSHOTTER VERB [KEY ...]")
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
