#include "snapshotter/fill/layer_hints.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');

TEST(LayerHintsTest, ReadsTheLabelsOfCri) {
  const LayerHints hints = ParseLayerHints({{"containerd.io/snapshot/cri.image-ref", "172.30.0.1:5000/app:1"},
                                            {"containerd.io/snapshot/cri.layer-digest", kA},
                                            {"containerd.io/snapshot/cri.manifest-digest", kB}});
  ASSERT_TRUE(hints.image.has_value());
  EXPECT_EQ(hints.image->host, "172.30.0.1:5000");
  EXPECT_EQ(hints.image->repository, "app");
  EXPECT_EQ(hints.layer_digest->ToString(), kA);
  EXPECT_EQ(hints.manifest_digest->ToString(), kB);
  EXPECT_FALSE(hints.diff_id.has_value());
}

TEST(LayerHintsTest, CriGoesBeforeStargz) {
  const LayerHints hints = ParseLayerHints(
      {{"containerd.io/snapshot/cri.layer-digest", kA}, {"containerd.io/snapshot/remote/stargz.digest", kB}});
  EXPECT_EQ(hints.layer_digest->ToString(), kA);
}

TEST(LayerHintsTest, ReadsStargzAndDiffId) {
  const LayerHints hints = ParseLayerHints({{"containerd.io/snapshot/remote/stargz.reference", "registry.lan/x@" + kA},
                                            {"containerd.io/snapshot/remote/stargz.digest", kB},
                                            {"containerd.io/snapshot/diff-id", kA}});
  EXPECT_EQ(hints.image->host, "registry.lan");
  EXPECT_EQ(hints.layer_digest->ToString(), kB);
  EXPECT_EQ(hints.diff_id->ToString(), kA);
}

TEST(LayerHintsTest, RubbishIsNoHint) {
  const LayerHints hints = ParseLayerHints({{"containerd.io/snapshot/cri.image-ref", "http://x/../y z"},
                                            {"containerd.io/snapshot/cri.layer-digest", "sha256:../../etc/passwd"},
                                            {"containerd.io/snapshot/cri.manifest-digest", "md5:00"},
                                            {"containerd.io/snapshot/diff-id", kA + "0"}});
  EXPECT_FALSE(hints.image.has_value());
  EXPECT_FALSE(hints.layer_digest.has_value());
  EXPECT_FALSE(hints.manifest_digest.has_value());
  EXPECT_FALSE(hints.diff_id.has_value());
}

}  // namespace
}  // namespace sluice
