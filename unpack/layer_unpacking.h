// The first half of unpacking a layer, alike in both forms: the blob, once, into a tree of its own.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "unpack/file_metadata.h"
#include "unpack/file_tree.h"
#include "unpack/interruption.h"
#include "unpack/layer.h"
#include "unpack/layer_tree.h"

namespace sluice {

// One thread at a time.
class LayerUnpacking {
 public:
  // `files`, which are none yet, and `options` are borrowed.
  LayerUnpacking(FileTree& files, const UnpackOptions& options, Interruption interruption);

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
