// Images that another snapshotter can use: what containerd did not fetch for a node's images is fetched; where that
// can't be, the image's record goes, so that the next start pulls it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "cmd/node_arguments.h"
#include "snapshotter/service/backfill/image_backfill.h"
#include "snapshotter/service/containerd/content_store_client.h"

namespace sluice {

enum class RollbackAction {
  kNone,    // nothing is missing
  kFetch,   // all that was missing was put into containerd's content store
  kRemove,  // no source has a blob: the image's records are removed
  kKeep,    // the same, but a container uses the image
  kFail,    // a source that may have a blob could not be asked
};

// "none", "fetch", …
absl::string_view NameOf(RollbackAction action);

struct RolledBackImage {
  std::string containerd_namespace;
  UnpackedImage image;
  RollbackAction action = RollbackAction::kNone;
  std::vector<FilledBlob> blobs;        // those that were missing, as far as they were got
  size_t missing = 0;                   // how many there were
  absl::Status reason;                  // of kRemove, kKeep, kFail
  std::vector<std::string> containers;  // of kKeep: their ids

  int64_t bytes() const;  // of `blobs`
};

// One thread at a time.
class ImageRollback {
 public:
  // All borrowed. With `dry_run` sources are asked, but nothing is changed.
  ImageRollback(const Node& node, ContentStoreClient& store, ImageBackfill& backfill, bool dry_run)
      : node_(node), store_(store), backfill_(backfill), dry_run_(dry_run) {}

  // All images of the wanted namespaces that were unpacked with `snapshotter`, each told to `on_image` when it is done.
  // An image that can't be helped is no error. Errors: Cancelled; ResourceExhausted containerd's disk is full; those of
  // containerd. Then all that was done stays, and another call does the rest.
  absl::Status Run(const std::string& snapshotter, const Cancellation& cancellation,
                   const std::function<void(const RolledBackImage&)>& on_image);

 private:
  absl::StatusOr<RolledBackImage> RollBack(const UnpackedImages& images, const UnpackedImage& image,
                                           const Cancellation& cancellation);
  absl::Status Locate(const ImageBlobs& blobs, const Cancellation& cancellation, std::vector<FilledBlob>& located);
  // `image` lacks a blob that no source has.
  absl::Status Remove(RolledBackImage& image, const Cancellation& cancellation);

  const Node& node_;
  ContentStoreClient& store_;
  ImageBackfill& backfill_;
  const bool dry_run_;
};

}  // namespace sluice
