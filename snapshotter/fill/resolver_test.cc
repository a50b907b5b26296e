#include "snapshotter/fill/resolver.h"

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
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

// What is in one namespace.
struct Contents {
  std::vector<ContentInfo> manifests;
  std::vector<ImageRecord> images;
  std::vector<Digest> leased;
};

// containerd's content store with what a pull puts into it, and a count of what was asked. Its namespace is "default",
// `other` that of "k8s.io". Thread-safe while nothing is added.
class ContainerdDouble : public ContentStore, public Contents {
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
    return In(containerd_namespace).manifests;
  }

  absl::StatusOr<std::vector<Digest>> ListLeased(const std::string& containerd_namespace, absl::Time) override {
    ++lease_lists;
    if (!lease_failure.ok()) return lease_failure;
    return In(containerd_namespace).leased;
  }

  absl::StatusOr<ContentInfo> Stat(const std::string& containerd_namespace, const Digest& digest, absl::Time) override {
    ++stats;
    if (!stat_failure.ok()) return stat_failure;
    for (const ContentInfo& manifest : In(containerd_namespace).manifests) {
      if (manifest.digest != digest) continue;
      ContentInfo content = manifest;
      auto touched = updated.find(digest);
      content.updated_at = touched == updated.end() ? absl::UnixEpoch() : touched->second;
      return content;
    }
    return absl::NotFoundError("containerd: stat: not found");
  }

  absl::StatusOr<std::string> ReadDocument(const std::string&, const Digest& digest, int64_t max_bytes,
                                           absl::Time) override {
    auto document = documents.find(digest);
    const bool is_config = document != documents.end() && absl::StrContains(document->second, "rootfs");
    if (is_config && answers_left-- <= 0) return slow;
    ++reads;
    if (document == documents.end()) return absl::NotFoundError("containerd: read: not found");
    if (static_cast<int64_t>(document->second.size()) > max_bytes) {
      return absl::ResourceExhaustedError("containerd: read: larger than it may be");
    }
    return document->second;
  }

  bool HasBlob(const std::string&, const Digest&, std::optional<int64_t>, absl::Time) override { return false; }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string&, const Digest&,
                                                       const Cancellation*) override {
    return absl::NotFoundError("no blobs here");
  }

  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string& containerd_namespace, absl::Time) override {
    if (!image_failure.ok()) return image_failure;
    return In(containerd_namespace).images;
  }

  const Contents& In(const std::string& containerd_namespace) const {
    return containerd_namespace == "default" ? *this : other;
  }

  Contents other;
  std::map<Digest, std::string> documents;
  std::map<Digest, absl::Time> updated;
  absl::Status failure;
  absl::Status lease_failure;
  absl::Status image_failure;
  absl::Status stat_failure;
  // After so many configs the others fail with `slow`.
  std::atomic<int> answers_left{1'000'000};
  absl::Status slow = absl::DeadlineExceededError("containerd: read: Deadline Exceeded");
  std::atomic<int> lists{0};
  std::atomic<int> lease_lists{0};
  std::atomic<int> stats{0};
  std::atomic<int> reads{0};
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
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  Resolver resolver_{&containerd_, {}, [this] { return now_; }};
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

TEST_F(ResolverTest, ImageThatIsBeingPulledWinsAndNoOtherIsRead) {
  const ContainerdDouble::Image pulled = containerd_.Add({1, 2}, "pulled again");
  for (int i = 0; i < 20; ++i) containerd_.Add({1, 100 + i});
  containerd_.leased = {Digest::Of("an index"), pulled.config, pulled.manifest, BlobOf(1)};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
  EXPECT_EQ(containerd_.lists, 0);
  EXPECT_EQ(containerd_.stats, 4);
  EXPECT_EQ(containerd_.reads, 2);
}

TEST_F(ResolverTest, IndexOfThePullGivesTheName) {
  const ContainerdDouble::Image image = containerd_.Add({1});
  ContentInfo index;
  index.digest = Digest::Of("index");
  index.labels = {{"containerd.io/gc.ref.content.m.0", image.manifest.ToString()}};
  containerd_.manifests.push_back(index);
  containerd_.images = {{"172.30.0.1:5000/app:1", index.digest}};
  containerd_.leased = {index.digest, image.manifest, image.config};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.image, "172.30.0.1:5000/app:1");
  EXPECT_EQ(containerd_.lists, 0);
}

TEST_F(ResolverTest, OfSeveralPullsTheOneThatWasTouchedLastWins) {
  const ContainerdDouble::Image first = containerd_.Add({1, 2});
  const ContainerdDouble::Image second = containerd_.Add({1, 3});
  containerd_.Add({1, 4});
  containerd_.leased = {second.manifest, first.manifest};
  containerd_.updated = {{first.manifest, absl::FromUnixSeconds(200)}, {second.manifest, absl::FromUnixSeconds(100)}};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
  LayerRequest request = Wanting({1, 3});
  request.labels["containerd.io/snapshot/cri.manifest-digest"] = second.manifest.ToString();
  ASSERT_OK_AND_ASSIGN(const Plan hinted, resolver_.Resolve(request));
  EXPECT_EQ(hinted.layers[1].diff_id, DiffId(3));
}

TEST_F(ResolverTest, LabelDoesNotOverruleALease) {
  const ContainerdDouble::Image hinted = containerd_.Add({1, 2});
  const ContainerdDouble::Image pulled = containerd_.Add({1, 3});
  containerd_.leased = {pulled.manifest};
  LayerRequest request = Wanting({1});
  request.labels["containerd.io/snapshot/cri.manifest-digest"] = hinted.manifest.ToString();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(request));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
}

TEST_F(ResolverTest, LeasesOfOtherWorkDoNotHideTheImage) {
  containerd_.Add({1, 2});
  const ContainerdDouble::Image other = containerd_.Add({5});
  containerd_.leased = {other.manifest, other.config};
  EXPECT_OK(resolver_.Resolve(Wanting({1, 2})).status());
}

TEST_F(ResolverTest, WithoutLeasesTheSearchGoesOn) {
  containerd_.Add({1});
  containerd_.lease_failure = absl::UnimplementedError("containerd: list leases: unknown service");
  EXPECT_OK(resolver_.Resolve(Wanting({1})).status());
}

TEST_F(ResolverTest, PlanIsRememberedForItsPullOnly) {
  const ContainerdDouble::Image first = containerd_.Add({1, 2});
  const ContainerdDouble::Image second = containerd_.Add({1, 3});
  containerd_.leased = {first.manifest};
  ASSERT_OK_AND_ASSIGN(Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));

  now_ += absl::Seconds(2);
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  EXPECT_EQ(containerd_.lease_lists, 2);
  EXPECT_EQ(containerd_.reads, 2);

  containerd_.leased = {second.manifest};
  now_ += absl::Seconds(2);
  ASSERT_OK_AND_ASSIGN(plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
  EXPECT_EQ(containerd_.reads, 4);

  containerd_.leased = {};
  now_ += absl::Seconds(2);
  ASSERT_OK_AND_ASSIGN(plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
  EXPECT_EQ(containerd_.lists, 0);
  now_ += absl::Minutes(1);
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  EXPECT_EQ(containerd_.lists, 1);
}

TEST_F(ResolverTest, SearchThatIsCutShortGoesOnNextTime) {
  containerd_.Add({1, 2});
  for (int i = 0; i < 20; ++i) containerd_.Add({100 + i});
  containerd_.answers_left = 9;
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "gave 9 of 21 image configs in time"));
  containerd_.answers_left = 100;
  EXPECT_OK(resolver_.Resolve(Wanting({1})).status());
  EXPECT_EQ(containerd_.reads, 22);
}

TEST_F(ResolverTest, PlanOfASearchThatIsCutShortIsNotRemembered) {
  const ContainerdDouble::Image oldest = containerd_.Add({1, 2});
  for (int i = 0; i < 20; ++i) containerd_.Add({100 + i});
  const ContainerdDouble::Image newest = containerd_.Add({1, 3});
  containerd_.updated = {{newest.manifest, absl::FromUnixSeconds(100)}, {oldest.manifest, absl::FromUnixSeconds(200)}};
  containerd_.answers_left = 9;
  ASSERT_OK_AND_ASSIGN(Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
  containerd_.answers_left = 100;
  ASSERT_OK_AND_ASSIGN(plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
}

TEST_F(ResolverTest, ContainerdThatGoesAwayIsTheReason) {
  containerd_.Add({1});
  containerd_.answers_left = 0;
  containerd_.slow = absl::UnavailableError("containerd: read: connection reset");
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "connection reset"));
  containerd_.lease_failure = absl::UnavailableError("containerd: list leases: connection refused");
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "connection refused"));
}

TEST_F(ResolverTest, RememberedPlanDoesWithoutContainerd) {
  containerd_.Add({1, 2});
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  containerd_.lease_failure = absl::UnavailableError("containerd: list leases: connection refused");
  now_ += absl::Seconds(2);
  EXPECT_OK(resolver_.Resolve(Wanting({1, 2})).status());
}

TEST_F(ResolverTest, ManifestsAndNamesThatVanishMeanwhileAreDoneWithout) {
  const ContainerdDouble::Image old_image = containerd_.Add({1, 2}, "old");
  const ContainerdDouble::Image new_image = containerd_.Add({1, 3}, "new");
  containerd_.documents.erase(new_image.manifest);
  containerd_.image_failure = absl::UnavailableError("containerd: list images: gone");
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
  EXPECT_EQ(plan.image, "172.30.0.1/app@" + old_image.manifest.ToString());
  EXPECT_THAT(resolver_.Resolve(Wanting({1, 3})), StatusIs(StatusCode::kNotFound, "not found"));
}

TEST_F(ResolverTest, ConfigsThatAreTooMuchAreReadOnce) {
  std::vector<int> layers(501);
  for (int i = 0; i < 501; ++i) layers[i] = i;
  containerd_.Add(layers);
  const ContainerdDouble::Image huge = containerd_.Add({0});
  containerd_.documents[huge.config] = std::string(kMaxConfigBytes + 1, ' ');
  const ContainerdDouble::Image rubbish = containerd_.Add({0}, "rubbish");
  containerd_.documents[rubbish.config] = "not JSON";
  for (int i = 0; i < 2; ++i) EXPECT_THAT(resolver_.Resolve(Wanting({0})), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(containerd_.reads, 3);
}

TEST_F(ResolverTest, IndexWithoutLabelsLeavesTheNameOpen) {
  const ContainerdDouble::Image image = containerd_.Add({1});
  containerd_.images = {{"172.30.0.1:5000/app:1", Digest::Of("an index that containerd does not list")}};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.image, "172.30.0.1/app@" + image.manifest.ToString());
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", "app"}));
}

TEST_F(ResolverTest, RegistryThatServedIsAmongTheEndpoints) {
  containerd_.Add({1});
  resolver_.NoteServed({"172.30.0.1:5000", "other"});
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", "app"}));
  EXPECT_TRUE(plan.endpoints[1].port_is_guess);
}

TEST_F(ResolverTest, OrderThatIsCutShortIsNotRemembered) {
  const ContainerdDouble::Image old_image = containerd_.Add({1, 2});
  containerd_.Add({1, 3});
  containerd_.stat_failure = absl::DeadlineExceededError("containerd: stat: Deadline Exceeded");
  ASSERT_OK_AND_ASSIGN(Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
  containerd_.stat_failure = absl::OkStatus();
  containerd_.updated = {{old_image.manifest, absl::FromUnixSeconds(100)}};
  ASSERT_OK_AND_ASSIGN(plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
}

TEST_F(ResolverTest, MoreImagesThanAreRememberedAreAllFound) {
  std::vector<Digest> configs;
  for (int i = 0; i < 20; ++i) configs.push_back(containerd_.Add({1, 100 + i}).config);
  ImageChains chains(&containerd_, /*max_layers=*/10);
  for (int reads : {20, 35}) {
    const ImageChains::Found found = chains.Find("default", configs, DiffId(1), absl::InfiniteFuture());
    ASSERT_EQ(found.matches.size(), 20u);
    EXPECT_EQ(found.matches[7].place, 7u);
    EXPECT_EQ(found.matches[7].chain->diff_ids[1], DiffId(107));
    EXPECT_EQ(containerd_.reads, reads);
  }
}

TEST_F(ResolverTest, PullsAtOnceInTwoNamespacesReadEachConfigOnce) {
  constexpr int kImages = 50;
  for (int i = 0; i < kImages; ++i) containerd_.Add({1, 100 + i});
  containerd_.other.manifests = containerd_.manifests;
  for (const ContentInfo& manifest : containerd_.manifests) {
    containerd_.updated[manifest.digest] = absl::FromUnixSeconds(100);
  }
  containerd_.updated[containerd_.manifests[20].digest] = absl::FromUnixSeconds(200);
  containerd_.other.leased = {containerd_.manifests[30].digest};
  std::vector<std::thread> pulls;
  for (int i = 0; i < 8; ++i) {
    pulls.emplace_back([&, i] {
      LayerRequest request = Wanting({1});
      if (i % 2 == 1) request.containerd_namespace = "k8s.io";
      const absl::StatusOr<Plan> plan = resolver_.Resolve(request);
      ASSERT_OK(plan.status());
      EXPECT_EQ(plan->layers[1].diff_id, DiffId(100 + kImages - 1 - (i % 2 == 1 ? 30 : 20)));
      request = Wanting({2});
      EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kNotFound));
    });
  }
  for (std::thread& pull : pulls) pull.join();
  // Each pull may read its manifest; a few may read a leased config before the others know it.
  EXPECT_GE(containerd_.reads, kImages + 2);
  EXPECT_LE(containerd_.reads, kImages + 8 + 4);
}

}  // namespace
}  // namespace sluice
