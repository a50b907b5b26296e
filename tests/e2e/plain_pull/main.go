// Pulls an image as any client of containerd does: Pull with WithPullUnpack and WithPullSnapshotter, no labels, no
// handler. The resolver is there for plain http, which the registries of the tests speak, and for hosts.toml files.
//
//	plain_pull SOCKET NAMESPACE SNAPSHOTTER REF [HOSTS_DIR]
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/containerd/remotes/docker/config"
)

func pull(socket, namespace, snapshotter, ref, hostsDir string) error {
	client, err := containerd.New(socket)
	if err != nil {
		return err
	}
	defer client.Close()
	options := config.HostOptions{DefaultScheme: "http"}
	if hostsDir != "" {
		options.HostDir = config.HostDirFromRoot(hostsDir)
	}
	ctx := namespaces.WithNamespace(context.Background(), namespace)
	hosts := config.ConfigureHosts(ctx, options)
	image, err := client.Pull(ctx, ref,
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
	if len(os.Args) < 5 || len(os.Args) > 6 {
		fmt.Fprintln(os.Stderr, "usage: plain_pull SOCKET NAMESPACE SNAPSHOTTER REF [HOSTS_DIR]")
		os.Exit(2)
	}
	args := append(os.Args[1:], "")
	if err := pull(args[0], args[1], args[2], args[3], args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "plain_pull:", err)
		os.Exit(1)
	}
}
