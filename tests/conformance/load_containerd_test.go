// A containerd of the test's own, and a registry that keeps its blobs to itself until it is told to give them.
package conformance

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/content"
	"github.com/containerd/containerd/content/proxy"
	"github.com/containerd/containerd/leases"
	leasesproxy "github.com/containerd/containerd/leases/proxy"
	"github.com/containerd/containerd/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
)

const loadNamespace = "load"

type testContainerd struct {
	t      *testing.T
	socket string
	conn   *grpc.ClientConn
}

// startContainerd starts one that ends with the test.
func startContainerd(t *testing.T) *testContainerd {
	t.Helper()
	root, err := os.MkdirTemp("", "containerd-")
	if err != nil {
		t.Fatal(err)
	}
	c := &testContainerd{t: t, socket: filepath.Join(root, "c.sock")}
	config := fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
# cri wants a CNI, opt writes to /opt, the others probe the host's disks.
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "%[1]s/c.sock"
[ttrpc]
  address = "%[1]s/t.sock"
`, root)
	if err := os.WriteFile(filepath.Join(root, "config.toml"), []byte(config), 0600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("containerd", "--log-level", "error", "--config", filepath.Join(root, "config.toml"))
	daemon.Stderr = os.Stderr
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.conn != nil {
			c.conn.Close()
		}
		_ = daemon.Process.Signal(syscall.SIGTERM)
		_ = daemon.Wait() // containerd 1.6 ends by the signal with a code of its own
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	if c.conn, err = dial(context.Background(), c.socket); err != nil {
		t.Fatal(err)
	}
	return c
}

// putImages leaves what a pull has put there before its first Prepare: the documents, with their labels.
func (c *testContainerd) putImages(registry *heldRegistry) {
	c.t.Helper()
	ctx := namespaces.WithNamespace(context.Background(), loadNamespace)
	// Garbage collection leaves alone what is not named yet.
	manager := leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(c.conn))
	lease, err := manager.Create(ctx, leases.WithRandomID())
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := manager.Delete(ctx, lease, leases.SynchronousDelete); err != nil {
			c.t.Fatal(err)
		}
	}()
	ctx = leases.WithLease(ctx, lease.ID)
	store := proxy.NewContentStore(contentapi.NewContentClient(c.conn))
	for _, image := range registry.images {
		source := map[string]string{"containerd.io/distribution.source." + registry.host(): image.repository}
		manifestLabels := map[string]string{"containerd.io/gc.ref.content.config": image.configDigest.String()}
		for key, value := range source {
			manifestLabels[key] = value
		}
		c.putDocument(ctx, store, image.config, source)
		c.putDocument(ctx, store, image.manifest, manifestLabels)
		_, err := imagesapi.NewImagesClient(c.conn).Create(ctx, &imagesapi.CreateImageRequest{Image: imagesapi.Image{
			Name: fmt.Sprintf("%s/%s:1", registry.address, image.repository),
			Target: types.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(image.manifest),
				Size_: int64(len(image.manifest))}}})
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *testContainerd) putDocument(ctx context.Context, store content.Store, document []byte, labels map[string]string) {
	c.t.Helper()
	descriptor := ocispec.Descriptor{Digest: digest.FromBytes(document), Size: int64(len(document))}
	if err := content.WriteBlob(ctx, store, descriptor.Digest.String(), bytes.NewReader(document), descriptor, content.WithLabels(labels)); err != nil {
		c.t.Fatal(err)
	}
}

// A heldImage has one layer, a plain tar.
type heldImage struct {
	repository       string
	given            bool // in the end; else the registry says that it has no such layer
	layer            []byte
	layerDigest      digest.Digest // also the diffID, and the chainID
	config, manifest []byte
	configDigest     digest.Digest
}

// labels are those of the Prepare for its layer.
func (i *heldImage) labels() []string {
	return []string{"containerd.io/snapshot.ref=" + i.layerDigest.String(),
		"containerd.io/snapshot/cri.manifest-digest=" + digest.FromBytes(i.manifest).String()}
}

func makeHeldImage(t *testing.T, number int) *heldImage {
	t.Helper()
	image := &heldImage{repository: fmt.Sprintf("app-%d", number), given: number%2 == 0}
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	text := fmt.Sprintf("layer of %s\n", image.repository)
	if err := writer.WriteHeader(&tar.Header{Name: "file", Mode: 0644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	image.layer = layer.Bytes()
	image.layerDigest = digest.FromBytes(image.layer)
	image.config = asJSON(t, ocispec.Image{Architecture: "amd64", OS: "linux",
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{image.layerDigest}}})
	image.configDigest = digest.FromBytes(image.config)
	manifest := ocispec.Manifest{
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: image.configDigest, Size: int64(len(image.config))},
		Layers: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: image.layerDigest, Size: int64(len(image.layer))}},
	}
	manifest.SchemaVersion = 2
	image.manifest = asJSON(t, manifest)
	return image
}

func asJSON(t *testing.T, value interface{}) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type heldRegistry struct {
	address  string // host and port
	images   []*heldImage
	asked    chan struct{} // closed by the first who asks for a layer
	once     sync.Once
	released chan struct{}
}

// startHeldRegistry starts one that ends with the test.
func startHeldRegistry(t *testing.T, images int) *heldRegistry {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &heldRegistry{address: listener.Addr().String(), asked: make(chan struct{}), released: make(chan struct{})}
	for i := 0; i < images; i++ {
		r.images = append(r.images, makeHeldImage(t, i))
	}
	server := &http.Server{Handler: r}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

func (r *heldRegistry) host() string {
	host, _, _ := net.SplitHostPort(r.address)
	return host
}

func (r *heldRegistry) awaitRequest() { <-r.asked }
func (r *heldRegistry) release()      { close(r.released) }

func (r *heldRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if !strings.Contains(request.URL.Path, "/blobs/") {
		return
	}
	r.once.Do(func() { close(r.asked) })
	select {
	case <-r.released:
	case <-request.Context().Done():
		return
	}
	for _, image := range r.images {
		if image.given && path.Base(request.URL.Path) == image.layerDigest.String() {
			http.ServeContent(w, request, "", time.Time{}, bytes.NewReader(image.layer))
			return
		}
	}
	http.NotFound(w, request)
}
