// An image into containerd, the way containerd's own clients do it (containerd pull.go, unpacker.go), with the remote
// path offered for every layer: what the snapshotter has already is neither downloaded nor applied.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "grpcpp/channel.h"
#include "registry/descriptor.h"
#include "registry/image_source.h"

namespace sluice {

struct ImagePullOptions {
  std::string containerd_namespace;
  std::string snapshotter;
};

// How containerd came to have a layer.
enum class LayerOutcome {
  kPresent,   // it had it
  kProvided,  // the snapshotter brought it
  kUnpacked,  // it was given the blob, and applied it
};

struct PulledLayer {
  LayerOutcome outcome = LayerOutcome::kPresent;
  std::string source = {};  // of kUnpacked: who gave the blob, as LayerOrigin::source; else ""
  double seconds = 0;
};

// Puts `image` into containerd: its documents into the content store, its layers into the snapshotter, the name into
// the image store. `source` gives the blobs of layers that the snapshotter leaves to containerd. `on_layer` is called
// after each layer, base first, with its place in image.layers. After an error nothing is left but what containerd's
// garbage collection takes.
absl::Status PullImage(const std::shared_ptr<grpc::Channel>& containerd, const ImageSource& source,
                       const ResolvedImage& image, const ImagePullOptions& options, const Cancellation& cancellation,
                       const std::function<void(size_t, const PulledLayer&)>& on_layer);

}  // namespace sluice
