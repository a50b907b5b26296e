// Layers below as one flat tree: what is hidden there is deleted.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/directory_cache.h"
#include "unpack/disk_below.h"
#include "unpack/layer_tree.h"
#include "unpack/metadata_policy.h"

namespace sluice {

class FlatBelow : public DiskBelow {
 public:
  // As DiskBelow. `tree` is the flat tree, borrowed. `reserved` is a name in its root that is not part of it.
  FlatBelow(LayerTree& layer, DirectoryCache& tree, const MetadataPolicy& policy, std::string reserved)
      : DiskBelow(layer, MergedView({tree.root().fd()}), policy), tree_(tree), reserved_(std::move(reserved)) {}

  bool marks_are_entries() const override { return false; }
  absl::Status HideName(absl::string_view directory, absl::string_view name) override;
  absl::Status HideContent(absl::string_view directory) override;

 private:
  DirectoryCache& tree_;
  const std::string reserved_;
};

}  // namespace sluice
