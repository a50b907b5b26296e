#include "snapshotter/fill/proof.h"

#include "gtest/gtest.h"
#include "registry/image_config.h"

namespace sluice {
namespace {

using absl::StatusCode;

// Literals, computed by hand with sha256sum: the test does not trust ChainId().
Digest D(const char* hex) { return *Digest::ParseHex(hex); }
const Digest kBase = D("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
const Digest kNext = D("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
const Digest kChain = D("ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");

TEST(ProveChainTest, WithoutParentTheChainIsTheDiffId) {
  EXPECT_TRUE(ProveChain({.chain_id = kBase}, kBase).ok());
  EXPECT_EQ(ProveChain({.chain_id = kBase}, kNext).code(), StatusCode::kFailedPrecondition);
}

TEST(ProveChainTest, OverAProvenParentTheHashDecides) {
  const ChainClaim claim{.chain_id = kChain, .has_parent = true, .parent_chain_id = kBase};
  EXPECT_TRUE(ProveChain(claim, kNext).ok());
  EXPECT_EQ(ProveChain(claim, kBase).code(), StatusCode::kFailedPrecondition);
}

TEST(ProveChainTest, OverAnUnprovenParentOnlyTheConfigCounts) {
  EXPECT_EQ(ProveChain({.chain_id = kChain, .has_parent = true}, kNext).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ProveChain({.chain_id = kChain, .config_diff_id = kNext, .has_parent = true}, kNext).ok());
}

TEST(ProveChainTest, ALayerWithAParentIsNotTakenForItsOwnChain) {
  EXPECT_EQ(ProveChain({.chain_id = kBase, .has_parent = true}, kBase).code(), StatusCode::kFailedPrecondition);
}

TEST(ProveChainTest, AConfigThatSaysOtherwiseWins) {
  const ChainClaim claim{.chain_id = kChain, .config_diff_id = kBase, .has_parent = true, .parent_chain_id = kBase};
  EXPECT_EQ(ProveChain(claim, kNext).code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace sluice
