// Copies one file of the layers below into the layer, as overlayfs does before it changes one.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/layer_tree.h"
#include "unpack/merged_view.h"

namespace sluice {

// Makes `path`, whose parent is in the tree, like `file`, which was found there in `view` and is not a directory:
// content with its holes, and all metadata.
absl::Status CopyUp(LayerTree& tree, const MergedView& view, const MergedView::Found& file, absl::string_view path);

}  // namespace sluice
