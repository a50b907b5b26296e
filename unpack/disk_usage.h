// What a tree takes on the disk, as containerd counts it (continuity fs.DiskUsage): allocated bytes and inodes, each
// inode once.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/rooted_directory.h"

namespace sluice {

struct DiskUsage {
  int64_t bytes = 0;
  int64_t inodes = 0;
};

// Walks the tree, which must not change meanwhile; the root counts too. Memory grows with its depth and with the number
// of inodes that have several names.
absl::StatusOr<DiskUsage> CountDiskUsage(const RootedDirectory& root);

}  // namespace sluice
