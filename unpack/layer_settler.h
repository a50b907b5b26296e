// Settles what a layer left open on the layers below: unlisted directories take the attributes, or follow the symlink,
// of the topmost layer that has them; whiteouts are made where they hide something; hard links to files below copy
// these up first.
#pragma once

#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/below_lookup.h"
#include "unpack/interruption.h"
#include "unpack/layer_tree.h"
#include "unpack/layers_below.h"
#include "unpack/placement.h"

namespace sluice {

// Used once, by one thread.
class LayerSettler {
 public:
  // Both are borrowed.
  LayerSettler(LayerTree& tree, LayersBelow& below, Interruption interruption);

  // InvalidArgument: the layer and those below don't fit (a missing link target, a file where a directory must be,
  // symlinks in circles). FailedPrecondition: legal, but only a mount can tell.
  absl::Status Settle();

 private:
  absl::Status ApplyBelow(PendingDirectory& directory);
  absl::Status Hide(const std::string& directory, const TreeView::Found& below, absl::string_view name);
  absl::Status CopyAttributes(const TreeView::Found& below, const std::string& path);
  // Makes the directories of `path` that are missing, with the attributes they have below.
  absl::Status MakeLikeBelow(absl::string_view path);
  absl::Status PlaceLinks();
  absl::StatusOr<std::optional<std::string>> FindLinkTarget(const PendingLink& link,
                                                            const absl::flat_hash_set<absl::string_view>& pending);

  LayerTree& tree_;
  LayersBelow& below_;
  const Interruption interruption_;
  BelowLookup lookup_;
  Placement placement_;
};

}  // namespace sluice
