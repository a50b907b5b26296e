// Moves what a layer wrote below an unlisted directory to the place it is meant for.
//
// A name means the place that it leads to in the merged view. Where a directory "bin" that the layer uses but does not
// list is a symlink to "usr/bin" below, "bin/x" is meant for "usr/bin/x", and so is the whiteout "bin/.wh.y" for
// "usr/bin/y". If two entries meet in one place, the later one in the archive stays.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/below_lookup.h"
#include "unpack/layer_tree.h"
#include "unpack/tree_view.h"

namespace sluice {

// A file below gives way to a directory that the layer uses.
//
// One thread at a time. InvalidArgument: symlinks in circles, a file of this layer where a directory must be.
// FailedPrecondition: a symlink of this layer goes up ("..") from what is a symlink below; a symlink below leads an
// entry to its own place.
class Placement {
 public:
  // All are borrowed.
  Placement(LayerTree& tree, const TreeView& view, BelowLookup& below) : tree_(tree), view_(view), below_(below) {}

  absl::Status PlaceAll();

  // The directory that `name` leads to in the merged view, this layer on top: its path, whether it exists or not.
  absl::StatusOr<std::string> ResolveDirectory(absl::string_view name);

 private:
  absl::Status InEntryBelow(const PendingDirectory& directory, const absl::Status& status);
  absl::Status Place(PendingDirectory& directory, int& links);
  absl::Status Relocate(PendingDirectory& directory, const TreeView::Found& symlink, int& links);
  absl::StatusOr<std::string> Resolve(absl::string_view base, absl::string_view text, int& links);
  // The text of the symlink at `path`, in this layer or below; nullopt if there is none.
  absl::StatusOr<std::optional<std::string>> SymlinkAt(const std::string& path, int& links);
  void MarkPlaced(absl::string_view path);

  absl::Status MergeDirectories(const std::string& source, const std::string& target, int& links);
  absl::Status MoveEntry(const std::string& source, const std::string& target, int& links);
  absl::Status MoveOntoExisting(const std::string& source, const std::string& target, int& links);
  absl::Status CopyListing(const std::string& source, const std::string& target);
  bool IsListed(absl::string_view directory);
  bool IsLater(absl::string_view path, absl::string_view other);

  absl::Status MovePending(absl::string_view source, absl::string_view target);
  void MergePending(PendingDirectory& source, PendingDirectory& target);
  void Detach(PendingDirectory& directory);

  LayerTree& tree_;
  const TreeView& view_;
  BelowLookup& below_;
  std::vector<std::unique_ptr<PendingDirectory>> detached_;  // empty, but PlaceAll() still has them in its list
};

}  // namespace sluice
