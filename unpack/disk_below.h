// Layers below that are on a disk, in either form.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/layer_tree.h"
#include "unpack/layers_below.h"
#include "unpack/merged_view.h"
#include "unpack/metadata_policy.h"

namespace sluice {

class DiskBelow : public LayersBelow {
 public:
  // `layer` is the one that is settled, `policy` made the metadata of all layers; both are borrowed.
  DiskBelow(LayerTree& layer, MergedView view, const MetadataPolicy& policy)
      : layer_(layer), view_(std::move(view)), policy_(policy) {}

  const MergedView& view() const override { return view_; }
  absl::StatusOr<FileMetadata> DirectoryMetadata(const TreeView::Found& found, absl::string_view path) const override;
  // Content with its holes, and all metadata.
  absl::Status CopyUp(const TreeView::Found& file, absl::string_view path) override;

 private:
  LayerTree& layer_;
  const MergedView view_;
  const MetadataPolicy& policy_;
};

}  // namespace sluice
