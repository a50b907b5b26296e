// Layers below in overlay form: what is hidden there is marked in the layer itself, as overlayfs reads it.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "unpack/layer_tree.h"
#include "unpack/layers_below.h"
#include "unpack/merged_view.h"

namespace sluice {

class OverlayBelow : public LayersBelow {
 public:
  // `tree` is the layer; `parent_fds` those below, topmost first; all borrowed.
  OverlayBelow(LayerTree& tree, absl::Span<const int> parent_fds) : tree_(tree), view_(parent_fds) {}

  const MergedView& view() const override { return view_; }
  bool marks_are_entries() const override { return true; }
  // A character device 0:0.
  absl::Status HideName(absl::string_view directory, absl::string_view name) override;
  // trusted.overlay.opaque; in the root, where overlayfs looks at no such mark, each name by itself.
  absl::Status HideContent(absl::string_view directory) override;

 private:
  absl::Status HideRootContent();

  LayerTree& tree_;
  const MergedView view_;
};

}  // namespace sluice
