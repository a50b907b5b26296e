// Layers below as one tree of an index: what is hidden there is forgotten.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/index_tree.h"
#include "unpack/layers_below.h"
#include "unpack/tree_view.h"

namespace sluice {

class IndexBelow : public LayersBelow, private TreeView {
 public:
  // Two trees of one index, borrowed: the layers below, and the layer that is settled over them.
  IndexBelow(IndexTree& below, IndexTree& layer) : below_(below), layer_(layer) {}

  const TreeView& view() const override { return *this; }
  absl::StatusOr<FileMetadata> DirectoryMetadata(const Found& found, absl::string_view path) const override;
  absl::Status CopyUp(const Found& file, absl::string_view path) override;
  bool marks_are_entries() const override { return false; }
  absl::Status HideName(absl::string_view directory, absl::string_view name) override;
  absl::Status HideContent(absl::string_view directory) override;

 private:
  absl::StatusOr<Found> Root() const override;
  absl::StatusOr<Found> Child(const Found& parent, absl::string_view parent_path,
                              absl::string_view name) const override;
  absl::StatusOr<std::string> ReadLink(const Found& symlink, absl::string_view path) const override;
  absl::StatusOr<Found> At(absl::string_view path) const;

  IndexTree& below_;
  IndexTree& layer_;
};

}  // namespace sluice
