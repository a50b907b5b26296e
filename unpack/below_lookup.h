// What the layers below have at a path, as far as this layer's whiteouts let it be seen.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/pending_tree.h"
#include "unpack/tree_view.h"

namespace sluice {

// One thread at a time.
class BelowLookup {
 public:
  // Both are borrowed.
  BelowLookup(const TreeView& view, PendingTree& pending) : view_(view), pending_(pending) {}

  // REQUIRES: SortWhiteouts() on what is pending. Errors: as TreeView::Child.
  absl::StatusOr<TreeView::Found> At(absl::string_view path);
  // To be called when what is pending has changed.
  void Forget() { way_.clear(); }

 private:
  struct Step {
    std::string name;
    TreeView::Found found;
  };

  const TreeView& view_;
  PendingTree& pending_;
  std::vector<Step> way_;  // of the last look-up: the next one often shares its beginning
};

}  // namespace sluice
