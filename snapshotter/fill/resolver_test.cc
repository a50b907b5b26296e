#include "snapshotter/fill/resolver.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/image_config.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using nlohmann::json;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar+gzip";

Digest DiffId(int i) { return Digest::Of(absl::StrCat("tar ", i)); }
Digest BlobOf(int i, const std::string& compression = "gzip") {
  return Digest::Of(absl::StrCat("blob ", i, compression));
}

// containerd's content store with what a pull puts into it, and a count of what was asked.
class ContainerdDouble : public ContentStore {
 public:
  struct Image {
    Digest config;
    Digest manifest;
  };

  // An image of the layers `layers`; the newest so far. `salt` makes the config another one.
  Image Add(const std::vector<int>& layers, const std::string& salt = "", const std::string& compression = "gzip",
            const char* layer_type = kLayerType) {
    json config = {{"architecture", "amd64"}, {"os", "linux"}, {"author", salt}, {"config", json::object()}};
    config["rootfs"] = {{"type", "layers"}, {"diff_ids", json::array()}};
    json manifest = {{"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.manifest.v1+json"}};
    manifest["layers"] = json::array();
    for (int layer : layers) {
      config["rootfs"]["diff_ids"].push_back(DiffId(layer).ToString());
      manifest["layers"].push_back(
          {{"mediaType", layer_type}, {"digest", BlobOf(layer, compression).ToString()}, {"size", 100 + layer}});
    }
    Image image;
    image.config = Put(config.dump());
    manifest["config"] = {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                          {"digest", image.config.ToString()},
                          {"size", config.dump().size()}};
    image.manifest = Put(manifest.dump());
    ContentInfo info;
    info.digest = image.manifest;
    info.labels = {{"containerd.io/gc.ref.content.config", image.config.ToString()},
                   {"containerd.io/distribution.source.172.30.0.1", "app"}};
    manifests.insert(manifests.begin(), info);
    return image;
  }

  Digest Put(const std::string& document) {
    const Digest digest = Digest::Of(document);
    documents[digest] = document;
    return digest;
  }

  absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string& containerd_namespace, absl::Time) override {
    ++lists;
    if (!failure.ok()) return failure;
    if (containerd_namespace != "default") return std::vector<ContentInfo>();
    return manifests;
  }

  absl::StatusOr<absl::Time> UpdatedAt(const std::string&, const Digest& digest, absl::Time) override {
    auto touched = updated.find(digest);
    return touched == updated.end() ? absl::UnixEpoch() : touched->second;
  }

  absl::StatusOr<std::string> ReadDocument(const std::string&, const Digest& digest, int64_t max_bytes,
                                           absl::Time) override {
    ++reads;
    auto document = documents.find(digest);
    if (document == documents.end()) return absl::NotFoundError("containerd: read: not found");
    EXPECT_LE(static_cast<int64_t>(document->second.size()), max_bytes);
    return document->second;
  }

  bool HasBlob(const std::string&, const Digest&, std::optional<int64_t>, absl::Time) override { return false; }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string&, const Digest&,
                                                       const Cancellation*) override {
    return absl::NotFoundError("no blobs here");
  }

  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string&, absl::Time) override { return images; }

  std::vector<ContentInfo> manifests;
  std::map<Digest, std::string> documents;
  std::vector<ImageRecord> images;
  std::map<Digest, absl::Time> updated;
  absl::Status failure;
  int lists = 0;
  int reads = 0;
};

class ResolverTest : public ::testing::Test {
 protected:
  static LayerRequest Wanting(const std::vector<int>& chain) {
    std::vector<Digest> diff_ids;
    for (int layer : chain) diff_ids.push_back(DiffId(layer));
    const std::vector<Digest> chain_ids = ChainIds(diff_ids);
    LayerRequest request;
    request.containerd_namespace = "default";
    request.ref = chain_ids.back();
    request.has_parent = chain.size() > 1;
    if (request.has_parent) request.parent_chain_id = chain_ids[chain.size() - 2];
    return request;
  }

  ContainerdDouble containerd_;
  Resolver resolver_{&containerd_, OriginFinder(*LocalityRules::Create({}), {})};
};

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

TEST(LruMapTest, ForgetsWhatWasNotUsedForLongest) {
  LruMap<int, int> map(2);
  map.Insert(1, 10);
  map.Insert(2, 20);
  ASSERT_NE(map.Find(1), nullptr);
  map.Insert(3, 30);
  EXPECT_EQ(map.Find(2), nullptr);
  EXPECT_EQ(*map.Find(1), 10);
  map.Insert(1, 11);
  EXPECT_EQ(*map.Find(1), 11);
  EXPECT_EQ(*map.Find(3), 30);
}

}  // namespace
}  // namespace sluice
