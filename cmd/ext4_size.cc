#include "cmd/ext4_size.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr int64_t kBlocksOfMiB = (int64_t{1} << 20) / kExt4BlockBytes;
constexpr int64_t kGroupBlocks = 8 * kExt4BlockBytes;  // a bitmap of one block
constexpr int64_t kDescriptorBytes = 64;
// mkfs.ext4 leaves a last group out that is not larger than its tables and fifty blocks.
constexpr int64_t kLeastLastGroup = 4 * kBlocksOfMiB;
// The reserved ones and lost+found.
constexpr int64_t kOwnInodes = 11;
constexpr int64_t kLostAndFoundBlocks = 4;
// One for every 16 KiB, as mkfs.ext4 has it by default.
constexpr int64_t kBlocksOfInode = 4;

int64_t DivideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

// Bitmaps, and copies of the superblock and of the descriptors; not every group has those.
int64_t GroupTables(int64_t groups) {
  const int64_t descriptor_blocks = DivideUp(groups * kDescriptorBytes, kExt4BlockBytes);
  return groups * (2 + 1 + descriptor_blocks);
}

}  // namespace

Ext4Size ComputeExt4Size(const TreeSize& tree, int64_t journal_blocks) {
  // A large file's extents take a block beside it.
  const int64_t content = tree.content_blocks + tree.content_blocks / 256;
  const int64_t data = content + tree.directory_blocks + tree.files_with_xattrs + kLostAndFoundBlocks + journal_blocks;
  // mkfs.ext4 wants a journal to take no more than half of what is free.
  const int64_t used = std::max(data + data / 16 + kBlocksOfMiB, 3 * journal_blocks);
  Ext4Size size;
  size.inodes = std::max(tree.inodes + tree.inodes / 16 + kOwnInodes + 16, used / kBlocksOfInode);
  // Every group has as many, a whole number of blocks of them.
  const int64_t inode_blocks = DivideUp(size.inodes * kExt4InodeBytes, kExt4BlockBytes);
  int64_t blocks = used + inode_blocks;
  for (int64_t groups = 0; groups != DivideUp(blocks, kGroupBlocks);) {
    groups = DivideUp(blocks, kGroupBlocks);
    blocks = used + inode_blocks + GroupTables(groups) + groups;
  }
  size.blocks = DivideUp(blocks, kBlocksOfMiB) * kBlocksOfMiB;
  const int64_t last_group = size.blocks % kGroupBlocks;
  if (last_group > 0 && last_group < kLeastLastGroup) size.blocks += kLeastLastGroup - last_group;
  return size;
}

}  // namespace sluice
