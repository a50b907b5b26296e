// Pulls an image as any client of containerd does: Pull with WithPullUnpack and WithPullSnapshotter, no labels, no
// handler. The resolver is there for plain http, which the registry of the tests speaks.
//
//	plain_pull SOCKET NAMESPACE SNAPSHOTTER REF
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/containerd/remotes/docker"
)

func pull(socket, namespace, snapshotter, ref string) error {
	client, err := containerd.New(socket)
	if err != nil {
		return err
	}
	defer client.Close()
	hosts := docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchAllHosts))
	image, err := client.Pull(namespaces.WithNamespace(context.Background(), namespace), ref,
		containerd.WithPullUnpack,
		containerd.WithPullSnapshotter(snapshotter),
		containerd.WithResolver(docker.NewResolver(docker.ResolverOptions{Hosts: hosts})))
	if err != nil {
		return err
	}
	fmt.Println(image.Name(), image.Target().Digest)
	return nil
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: plain_pull SOCKET NAMESPACE SNAPSHOTTER REF")
		os.Exit(2)
	}
	if err := pull(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "plain_pull:", err)
		os.Exit(1)
	}
}
