// The first half of unpacking a layer, alike in both forms: the blob, once, into a tree of its own.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "unpack/file_metadata.h"
#include "unpack/interruption.h"
#include "unpack/layer.h"
#include "unpack/layer_tree.h"
#include "unpack/metadata_policy.h"

namespace sluice {

// One thread at a time.
class LayerUnpacking {
 public:
  // `root_fd`, `options` and `policy` are borrowed.
  LayerUnpacking(int root_fd, const UnpackOptions& options, MetadataPolicy& policy, Interruption interruption);

  // Errors: as OverlayUnpacker::Stream, without the layer's name.
  absl::Status Stream(const LayerSource& source);

  // After Stream().
  bool self_contained() const { return result_.self_contained; }
  // All but the usage.
  const UnpackedLayer& result() const { return result_; }
  // What the layer says of its root directory, where it lists it.
  const std::optional<FileMetadata>& root_metadata() const { return root_metadata_; }
  LayerTree& tree() { return tree_; }

 private:
  const UnpackOptions& options_;
  const Interruption interruption_;
  LayerTree tree_;
  UnpackedLayer result_;
  std::optional<FileMetadata> root_metadata_;
};

}  // namespace sluice
