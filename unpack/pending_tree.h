// What a layer leaves open until the layers below are known: which of its directories it did not list, and what it
// hides.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/memory_budget.h"

namespace sluice {

// A directory with something pending at it or below it. It need not be in the layer: whiteouts alone make none.
struct PendingDirectory {
  PendingDirectory* parent = nullptr;
  std::string name;
  std::map<std::string, std::unique_ptr<PendingDirectory>, std::less<>> children;
  std::string whiteouts;  // names that are hidden in it, each ended by a NUL
  bool implied = false;   // in the layer, but only because something in it is
  bool opaque = false;    // everything below is hidden
  // A ".." in a symlink of this layer went up from here as if this were no symlink in a lower layer.
  bool left_by_dotdot = false;

  bool covered = false;  // the layer has something there, or above, that is no directory; used by LayerSettler

  // Used by Placement.
  bool placed = false;      // what is in it is where it is meant to be
  bool relocating = false;  // its content is being moved to where a symlink below points
  // `whiteouts`, sorted; points into it.
  std::vector<absl::string_view> sorted_whiteouts;

  // Path below the root.
  std::string Path() const;
  void SortWhiteouts();
  // REQUIRES: SortWhiteouts() since the last change.
  bool Hides(absl::string_view name) const;
};

// One thread at a time. Memory is taken from the budget, never given back before the end.
class PendingTree {
 public:
  explicit PendingTree(MemoryBudget& budget);

  // The directory at `path`, made with all above it if need be.
  absl::StatusOr<PendingDirectory*> Ensure(absl::string_view path);
  // Null if there is nothing pending at or below `path`.
  PendingDirectory* Find(absl::string_view path);
  // Forgets that the directory at `path` was implied and all that is below it: something else is there now.
  void Forget(absl::string_view path);

  absl::Status AddWhiteout(absl::string_view directory, absl::string_view name);

  PendingDirectory& root() { return root_; }
  // All but the root, every directory before those in it.
  std::vector<PendingDirectory*> All();
  // Nothing depends on the layers below.
  bool IsSettled();
  // To be called on all when the last whiteout has been added.
  void SortWhiteouts();
  // Some directory was implied at some time.
  bool any_implied() const { return any_implied_; }
  void SetImplied(PendingDirectory& directory);

 private:
  MemoryBudget& budget_;
  PendingDirectory root_;
  std::vector<std::unique_ptr<PendingDirectory>> forgotten_;  // out of the tree, but in the list of who walks it
  bool any_implied_ = false;
};

}  // namespace sluice
