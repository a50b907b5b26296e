#include "snapshotter/fill/resolver.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "snapshotter/fill/resolver_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::StatusIs;

TEST_F(ResolverTest, FindsTheLayerInTheMiddleOfAnImage) {
  containerd_.Add({1, 2, 3});
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1, 2})));
  EXPECT_TRUE(plan.from_config);
  EXPECT_EQ(plan.position, 1u);
  ASSERT_EQ(plan.layers.size(), 3u);
  EXPECT_EQ(plan.wanted().diff_id, DiffId(2));
  ASSERT_EQ(plan.wanted().blobs.size(), 1u);
  EXPECT_EQ(plan.wanted().blobs[0].digest, BlobOf(2));
  EXPECT_EQ(plan.wanted().blobs[0].size, 102);
  EXPECT_EQ(plan.locality, Locality::kLocal);
  ASSERT_EQ(plan.endpoints.size(), 1u);
  EXPECT_EQ(plan.endpoints[0].repository, "app");
}

TEST_F(ResolverTest, AsksContainerdOnceForAllLayersOfAPull) {
  containerd_.Add({1, 2, 3});
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  ASSERT_OK(resolver_.Resolve(Wanting({1, 2})).status());
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1, 2, 3})));
  EXPECT_EQ(plan.position, 2u);
  EXPECT_EQ(containerd_.lists, 1);
  EXPECT_EQ(containerd_.lease_lists, 1);
  EXPECT_EQ(containerd_.reads, 2);  // config and manifest
}

TEST_F(ResolverTest, ConfigsAreReadOnceInALifetime) {
  for (int i = 0; i < 20; ++i) containerd_.Add({100 + i}, absl::StrCat("old ", i));
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "namespace default"));
  EXPECT_EQ(containerd_.reads, 20);
  containerd_.Add({1});
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  EXPECT_EQ(containerd_.reads, 22);
}

TEST_F(ResolverTest, NewestImageWins) {
  containerd_.Add({1, 2}, "old");
  containerd_.Add({1, 3}, "new");
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
}

TEST_F(ResolverTest, OldImageThatIsPulledAgainWins) {
  const ContainerdDouble::Image old_image = containerd_.Add({1, 2}, "old");
  const ContainerdDouble::Image new_image = containerd_.Add({1, 3}, "new");
  containerd_.updated = {{new_image.manifest, absl::FromUnixSeconds(100)},
                         {old_image.manifest, absl::FromUnixSeconds(200)}};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
}

TEST_F(ResolverTest, HintedManifestGoesFirst) {
  const ContainerdDouble::Image old_image = containerd_.Add({1, 2}, "old");
  containerd_.Add({1, 3}, "new");
  LayerRequest request = Wanting({1});
  request.labels["containerd.io/snapshot/cri.manifest-digest"] = old_image.manifest.ToString();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(request));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
}

TEST_F(ResolverTest, RecompressedCopiesAreAlternatives) {
  containerd_.Add({1, 2}, "", "zstd");
  containerd_.Add({1, 2}, "", "gzip");
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  ASSERT_EQ(plan.wanted().blobs.size(), 2u);
  EXPECT_EQ(plan.wanted().blobs[0].digest, BlobOf(1, "gzip"));
  EXPECT_EQ(plan.wanted().blobs[1].digest, BlobOf(1, "zstd"));
}

TEST_F(ResolverTest, LayersThatAreNoTarHaveNoBlob) {
  containerd_.Add({1}, "", "gzip", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_TRUE(plan.wanted().blobs.empty());
}

TEST_F(ResolverTest, ConfigsThatAreNoneAreSkipped) {
  containerd_.Add({1});
  ContentInfo artifact;
  artifact.digest = Digest::Of("artifact");
  artifact.labels = {{"containerd.io/gc.ref.content.config", containerd_.Put("{}").ToString()}};
  ContentInfo gone = artifact;
  gone.labels = {{"containerd.io/gc.ref.content.config", Digest::Of("gone").ToString()}};
  ContentInfo rubbish = artifact;
  rubbish.labels = {{"containerd.io/gc.ref.content.config", "sha512:00"}};
  containerd_.manifests.insert(containerd_.manifests.begin(), {artifact, gone, rubbish});
  EXPECT_OK(resolver_.Resolve(Wanting({1})).status());
}

TEST_F(ResolverTest, ManifestThatDisagreesWithItsConfigIsNoPlan) {
  containerd_.Add({1});
  json manifest = json::parse(containerd_.documents[containerd_.manifests[0].digest]);
  manifest["layers"].push_back(manifest["layers"][0]);
  containerd_.manifests[0].digest = containerd_.Put(manifest.dump());
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "do not match its config"));
}

TEST_F(ResolverTest, ParentMustBeTheOneOfTheImage) {
  containerd_.Add({1, 2});
  LayerRequest request = Wanting({1, 2});
  request.parent_chain_id = DiffId(7);
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kFailedPrecondition, "the parent is chain"));
  request = Wanting({1, 2});
  request.has_parent = false;
  request.parent_chain_id.reset();
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kFailedPrecondition, "without its parent"));
  request = Wanting({1});
  request.has_parent = true;
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kFailedPrecondition, "over a parent"));
}

TEST_F(ResolverTest, ParentThatContainerdUnpackedMustHaveTheNameThatTheImageGivesIt) {
  containerd_.Add({1, 2});
  const std::string below = ChainIds({DiffId(1)})[0].ToString();
  LayerRequest request = Wanting({1, 2});
  request.parent_chain_id.reset();
  for (const std::string& name : {below, "default/7/" + below}) {
    request.parent = name;
    EXPECT_OK(resolver_.Resolve(request).status()) << name;
  }
  for (const std::string& name : {"default/7/" + DiffId(7).ToString(), "default/7/x" + below, below + "-x"}) {
    request.parent = name;
    EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kFailedPrecondition, "under another name")) << name;
  }
}

TEST_F(ResolverTest, LabelsAloneGiveAnUnprovenPlan) {
  containerd_.failure = absl::UnavailableError("containerd: list content: connection refused");
  LayerRequest request = Wanting({1});
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kNotFound, "connection refused"));
  request.labels["containerd.io/snapshot/cri.layer-digest"] = BlobOf(1).ToString();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(request));
  EXPECT_FALSE(plan.from_config);
  EXPECT_FALSE(plan.wanted().diff_id.has_value());
  EXPECT_EQ(plan.wanted().chain_id, request.ref);
  EXPECT_EQ(plan.wanted().blobs[0].digest, BlobOf(1));
  EXPECT_FALSE(plan.wanted().blobs[0].size.has_value());
  EXPECT_EQ(plan.locality, Locality::kUnknown);
}

TEST_F(ResolverTest, LabelsNeverOverruleTheConfig) {
  containerd_.Add({1});
  LayerRequest request = Wanting({1});
  request.labels["containerd.io/snapshot/cri.layer-digest"] = BlobOf(9).ToString();
  request.labels["containerd.io/snapshot/diff-id"] = DiffId(9).ToString();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(request));
  EXPECT_EQ(plan.wanted().blobs[0].digest, BlobOf(1));
  EXPECT_EQ(plan.wanted().diff_id, DiffId(1));
}

TEST_F(ResolverTest, NamespacesDoNotMix) {
  containerd_.Add({1});
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  LayerRequest request = Wanting({1});
  request.containerd_namespace = "k8s.io";
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kNotFound, "namespace k8s.io"));
}

TEST_F(ResolverTest, NameComesFromTheIndexThatAnImagePointsTo) {
  const ContainerdDouble::Image image = containerd_.Add({1});
  ContentInfo index;
  index.digest = Digest::Of("index");
  index.labels = {{"containerd.io/gc.ref.content.m.0", Digest::Of("other").ToString()},
                  {"containerd.io/gc.ref.content.m.1", image.manifest.ToString()}};
  containerd_.manifests.push_back(index);
  containerd_.images = {{"172.30.0.1:5000/app:1", index.digest}};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.image, "172.30.0.1:5000/app:1");
  EXPECT_EQ(plan.endpoints[0].host, "172.30.0.1:5000");
}

}  // namespace
}  // namespace sluice
