// Moves the tree of one layer over the flat tree of the layers below, as a mount would show the two.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "base/rooted_directory.h"
#include "unpack/directory_cache.h"
#include "unpack/interruption.h"
#include "unpack/metadata_policy.h"

namespace sluice {

// One thread at a time. Whole new directories are moved by one rename; only directories that both trees have are
// entered.
class TreeMerge {
 public:
  // `layer` and `tree` are on one file system; all are borrowed.
  TreeMerge(DirectoryCache& layer, DirectoryCache& tree, MetadataPolicy& policy, Interruption interruption)
      : layer_(layer), tree_(tree), policy_(policy), interruption_(interruption) {}

  // Leaves `layer` with an empty root. The attributes of the tree's root are not touched.
  absl::Status Run() { return MergeDirectory(std::string()); }

 private:
  absl::Status MergeDirectory(const std::string& path);
  absl::Status MoveFile(const std::string& path);
  absl::Status MoveDirectory(const std::string& path);
  // 0 or an errno.
  absl::StatusOr<int> Rename(const std::string& path);
  absl::Status RemoveFromTree(const std::string& path);
  absl::Status CopyAttributes(const std::string& path);

  DirectoryCache& layer_;
  DirectoryCache& tree_;
  MetadataPolicy& policy_;
  const Interruption interruption_;
};

}  // namespace sluice
