// Layers below as one flat tree: what is hidden there is deleted.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/directory_cache.h"
#include "unpack/interruption.h"
#include "unpack/layers_below.h"
#include "unpack/merged_view.h"

namespace sluice {

class FlatBelow : public LayersBelow {
 public:
  // `tree` is the flat tree, borrowed. `reserved` is a name in its root that is not part of it.
  FlatBelow(DirectoryCache& tree, std::string reserved)
      : tree_(tree), reserved_(std::move(reserved)), view_({tree.root().fd()}) {}

  const MergedView& view() const override { return view_; }
  bool marks_are_entries() const override { return false; }
  absl::Status HideName(absl::string_view directory, absl::string_view name) override;
  absl::Status HideContent(absl::string_view directory) override;

 private:
  DirectoryCache& tree_;
  const std::string reserved_;
  const MergedView view_;
};

}  // namespace sluice
