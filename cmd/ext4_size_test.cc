// The formula alone; that what it gives is enough for mkfs.ext4 is shown by sluicectl_export_test.
#include "cmd/ext4_size.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int64_t kBlocksOfMiB = 256;
constexpr int64_t kBlocksOfGiB = 1024 * kBlocksOfMiB;

TEST(Ext4SizeTest, IsWholeMiBAndHoldsWhatIsToBeIn) {
  for (const int64_t content : {int64_t{0}, int64_t{1}, 31 * kBlocksOfMiB, 127 * kBlocksOfMiB, 128 * kBlocksOfMiB,
                                129 * kBlocksOfMiB, kBlocksOfGiB, 100 * kBlocksOfGiB, 1024 * kBlocksOfGiB}) {
    for (const int64_t inodes : {int64_t{1}, int64_t{1000}, int64_t{2'000'000}}) {
      TreeSize tree;
      tree.inodes = inodes;
      tree.content_blocks = content;
      const Ext4Size size = ComputeExt4Size(tree, 0);
      EXPECT_EQ(size.blocks % kBlocksOfMiB, 0);
      EXPECT_GE(size.inodes, inodes + 11);
      EXPECT_GE(size.blocks, content + size.inodes / 16);
      // Not much more than that.
      EXPECT_LE(size.blocks, content + content / 8 + size.inodes / 15 + 8 * kBlocksOfMiB);
      EXPECT_GT(ComputeExt4Size(tree, 4096).blocks, size.blocks);
    }
  }
}

}  // namespace
}  // namespace sluice
