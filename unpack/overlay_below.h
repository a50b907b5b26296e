// Layers below in overlay form: what is hidden there is marked in the layer itself, as overlayfs reads it.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "unpack/disk_below.h"
#include "unpack/disk_tree.h"
#include "unpack/layer_tree.h"

namespace sluice {

class OverlayBelow : public DiskBelow {
 public:
  // `files` are those of `layer`; `parent_fds` the layers below, topmost first; all borrowed.
  OverlayBelow(LayerTree& layer, DiskTree& files, absl::Span<const int> parent_fds)
      : DiskBelow(layer, MergedView(parent_fds), files.policy()), files_(files) {}

  bool marks_are_entries() const override { return true; }
  // A character device 0:0.
  absl::Status HideName(absl::string_view directory, absl::string_view name) override;
  // trusted.overlay.opaque; in the root, where overlayfs looks at no such mark, each name by itself.
  absl::Status HideContent(absl::string_view directory) override;

 private:
  absl::Status HideRootContent();

  DiskTree& files_;
};

}  // namespace sluice
