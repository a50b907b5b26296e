// How large an ext4 file system must be.
#pragma once

#include <cstdint>

#include "cmd/tree_size.h"

namespace sluice {

inline constexpr int64_t kExt4BlockBytes = 4096;
inline constexpr int64_t kExt4InodeBytes = 256;

struct Ext4Size {
  int64_t blocks = 0;
  int64_t inodes = 0;
};

// Room for the tree, the file system's own tables and a journal of `journal_blocks`, and a sixteenth more to live in.
// Whole MiB.
Ext4Size ComputeExt4Size(const TreeSize& tree, int64_t journal_blocks);

}  // namespace sluice
