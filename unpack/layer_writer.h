// Writes the entries of one layer as they come, without looking at the layers below: what depends on those is noted in
// the tree (LayerTree::pending, links) and settled later (LayerSettler).
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/file_metadata.h"
#include "unpack/layer.h"
#include "unpack/layer_tree.h"
#include "unpack/tar_reader.h"

namespace sluice {

// One thread at a time. Errors name the entry.
class LayerWriter {
 public:
  // Both are borrowed.
  LayerWriter(LayerTree& tree, const UnpackLimits& limits) : tree_(tree), limits_(limits) {}

  // All entries of `tar`, then the links whose targets came after them.
  absl::Status Write(TarReader& tar);

  int64_t entries() const { return entries_; }
  // What the layer says of its root directory, where it lists it; not applied.
  const std::optional<FileMetadata>& root_metadata() const { return root_metadata_; }

 private:
  absl::Status WriteEntry(TarEntry& entry, absl::string_view path, TarReader& tar);
  absl::Status WriteRoot(const TarEntry& entry);
  absl::Status WriteHardLink(const TarEntry& entry, absl::string_view path);
  absl::Status AddWhiteout(absl::string_view directory, absl::string_view name);
  absl::Status AddOpaque(absl::string_view directory);
  absl::Status CheckSize(const TarEntry& entry);

  LayerTree& tree_;
  const UnpackLimits& limits_;
  int64_t entries_ = 0;
  int64_t unpacked_bytes_ = 0;
  std::optional<FileMetadata> root_metadata_;
};

}  // namespace sluice
