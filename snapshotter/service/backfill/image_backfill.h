// The layer blobs that containerd skipped when it pulled an image, put into its content store after all: for `save`,
// `push`, `convert`, and other snapshotters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "grpcpp/channel.h"
#include "registry/descriptor.h"
#include "snapshotter/fill/image_origin.h"
#include "snapshotter/fill/layer_sources.h"
#include "snapshotter/service/backfill/unpacked_images.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/containerd/content_writer.h"

namespace sluice {

// What an image has and lacks.
struct ImageBlobs {
  std::string containerd_namespace;
  UnpackedImage image;
  std::vector<Descriptor> missing;  // layers that are not in the content store, base first, each once
  // For the manifest: what it does not refer to yet, so that garbage collection keeps it.
  ContentLabels references;
  // For the blobs: where the manifest came from.
  ContentLabels sources;
  ImageOrigin origin;
};

struct FilledBlob {
  Descriptor blob;
  std::string place;  // "store=… kind=…" as in LayerOffer; "" if containerd had it in another namespace
};

// Thread-safe.
class ImageBackfill {
 public:
  // All borrowed.
  struct Parts {
    std::shared_ptr<grpc::Channel> containerd;
    ContentStoreClient* store = nullptr;
    LayerSources* sources = nullptr;
    OriginFinder* origins = nullptr;
    // A source did not hold what it promised; the next one is tried.
    std::function<void(const LayerOffer& offer, const absl::Status& reason)> on_rejected;
    // Called before each piece of a blob: may wait, and ends the work by an error. May be null.
    std::function<absl::Status()> before_read;
  };

  explicit ImageBackfill(Parts parts) : parts_(std::move(parts)) {}

  // `image` is one of `images.images`. InvalidArgument if its manifest is none.
  absl::StatusOr<ImageBlobs> Inspect(const UnpackedImages& images, const UnpackedImage& image);

  // Where Fill() would get `blob`, as FilledBlob has it: the first source that opens it. A registry is asked.
  // Errors: as Fill().
  absl::StatusOr<std::string> Locate(const ImageBlobs& blobs, const Descriptor& blob, const Cancellation& cancellation);

  // Puts the missing blobs into containerd's content store, one after the other, each read from the first source that
  // has it and verified by containerd, with the labels of containerd's own fetch. A lease on the manifest keeps
  // everything until this returns. What was got stays after an error, half a blob for a day: the next call goes on
  // there. `filled` is told what came when.
  // Errors: NotFound no source on this host has a blob, and no registry either; Unavailable, Unauthenticated, … of a
  // registry that may have it; ResourceExhausted containerd's disk is full; Cancelled; Aborted the image was removed
  // meanwhile; else containerd's.
  absl::Status Fill(const ImageBlobs& blobs, const Cancellation& cancellation,
                    const std::function<void(const FilledBlob&)>& filled);

 private:
  class BlobSources;

  const Parts parts_;
};

}  // namespace sluice
