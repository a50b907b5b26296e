// Pulls images as plain_pull does, all of them at once, and says what came of each.
//
//	concurrent_pull SOCKET NAMESPACE SNAPSHOTTER HOSTS_DIR <REFS
//
// REFS has lines "REF [unlabelled]". An unlabelled image is one of which containerd does not know where it came from, as
// after an import: its labels containerd.io/distribution.source.* are taken off before the first layer is unpacked.
// Prints, for each, REF, "pulled", the directory of its one layer, or REF, "failed", the error; between them are tabs.
// With CREDENTIALS=USER:PASSWORD in the environment, registries that want them are shown them.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/images"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/containerd/remotes/docker/config"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const sourcePrefix = "containerd.io/distribution.source."

// withoutSource takes the labels off again that the handlers before it have put on.
func withoutSource(store content.Store) func(images.Handler) images.Handler {
	return func(handler images.Handler) images.Handler {
		return images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
			children, err := handler.Handle(ctx, desc)
			if err != nil {
				return nil, err
			}
			info, err := store.Info(ctx, desc.Digest)
			if errdefs.IsNotFound(err) {
				return children, nil
			} else if err != nil {
				return nil, err
			}
			var paths []string
			for label := range info.Labels {
				if strings.HasPrefix(label, sourcePrefix) {
					info.Labels[label] = ""
					paths = append(paths, "labels."+label)
				}
			}
			if len(paths) > 0 {
				_, err = store.Update(ctx, info, paths...)
			}
			return children, err
		})
	}
}

func resolverOptions(ctx context.Context, hostsDir string) docker.ResolverOptions {
	options := config.HostOptions{DefaultScheme: "http", HostDir: config.HostDirFromRoot(hostsDir)}
	if credentials := os.Getenv("CREDENTIALS"); credentials != "" {
		user, password, _ := strings.Cut(credentials, ":")
		options.Credentials = func(string) (string, string, error) { return user, password, nil }
	}
	return docker.ResolverOptions{Hosts: config.ConfigureHosts(ctx, options)}
}

// directoryOf is where the bytes of the image's one layer are. The view itself is not kept; a lease keeps garbage
// collection from it.
func directoryOf(ctx context.Context, client *containerd.Client, snapshotter string, image containerd.Image) (string, error) {
	diffIDs, err := image.RootFS(ctx)
	if err != nil {
		return "", err
	}
	ctx, done, err := client.WithLease(ctx)
	if err != nil {
		return "", err
	}
	defer done(ctx)
	chain := identity.ChainID(diffIDs).String()
	snapshots := client.SnapshotService(snapshotter)
	mounts, err := snapshots.View(ctx, "view-"+chain, chain)
	if err != nil {
		return "", err
	}
	if len(mounts) != 1 || mounts[0].Type != "bind" {
		return "", fmt.Errorf("the mounts of a single layer are %v", mounts)
	}
	return mounts[0].Source, snapshots.Remove(ctx, "view-"+chain)
}

func pull(ctx context.Context, client *containerd.Client, snapshotter, hostsDir, ref string, unlabelled bool) (string, error) {
	options := []containerd.RemoteOpt{
		containerd.WithPullUnpack,
		containerd.WithPullSnapshotter(snapshotter),
		containerd.WithResolver(docker.NewResolver(resolverOptions(ctx, hostsDir))),
	}
	if unlabelled {
		options = append(options, containerd.WithImageHandlerWrapper(withoutSource(client.ContentStore())))
	}
	image, err := client.Pull(ctx, ref, options...)
	if err != nil {
		return "", err
	}
	return directoryOf(ctx, client, snapshotter, image)
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: concurrent_pull SOCKET NAMESPACE SNAPSHOTTER HOSTS_DIR <REFS")
		os.Exit(2)
	}
	client, err := containerd.New(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "concurrent_pull:", err)
		os.Exit(1)
	}
	ctx := namespaces.WithNamespace(context.Background(), os.Args[2])
	var pulls sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ref, how, _ := strings.Cut(lines.Text(), " ")
		pulls.Add(1)
		go func() {
			defer pulls.Done()
			directory, err := pull(ctx, client, os.Args[3], os.Args[4], ref, how == "unlabelled")
			if err != nil {
				fmt.Printf("%s\tfailed\t%s\n", ref, strings.ReplaceAll(err.Error(), "\n", " "))
			} else {
				fmt.Printf("%s\tpulled\t%s\n", ref, directory)
			}
		}()
	}
	pulls.Wait()
}
