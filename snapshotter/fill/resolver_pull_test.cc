// Which of many images is meant: pulls at once and after each other, and a containerd that is slow, or changes
// meanwhile.
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fill/image_chains.h"
#include "snapshotter/fill/resolver.h"
#include "snapshotter/fill/resolver_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::StatusIs;

using ResolverPullTest = ResolverTest;

TEST_F(ResolverPullTest, ImageThatIsBeingPulledWinsAndNoOtherIsRead) {
  const ContainerdDouble::Image pulled = containerd_.Add({1, 2}, "pulled again");
  for (int i = 0; i < 20; ++i) containerd_.Add({1, 100 + i});
  containerd_.leased = {Digest::Of("an index"), pulled.config, pulled.manifest, BlobOf(1)};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
  EXPECT_EQ(containerd_.lists, 0);
  EXPECT_EQ(containerd_.stats, 4);
  EXPECT_EQ(containerd_.reads, 2);
}

TEST_F(ResolverPullTest, IndexOfThePullGivesTheName) {
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

TEST_F(ResolverPullTest, OfSeveralPullsTheOneThatWasTouchedLastWins) {
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

TEST_F(ResolverPullTest, LabelDoesNotOverruleALease) {
  const ContainerdDouble::Image hinted = containerd_.Add({1, 2});
  const ContainerdDouble::Image pulled = containerd_.Add({1, 3});
  containerd_.leased = {pulled.manifest};
  LayerRequest request = Wanting({1});
  request.labels["containerd.io/snapshot/cri.manifest-digest"] = hinted.manifest.ToString();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(request));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(3));
}

TEST_F(ResolverPullTest, LeasesOfOtherWorkDoNotHideTheImage) {
  containerd_.Add({1, 2});
  const ContainerdDouble::Image other = containerd_.Add({5});
  containerd_.leased = {other.manifest, other.config};
  EXPECT_OK(resolver_.Resolve(Wanting({1, 2})).status());
}

TEST_F(ResolverPullTest, WithoutLeasesTheSearchGoesOn) {
  containerd_.Add({1});
  containerd_.lease_failure = absl::UnimplementedError("containerd: list leases: unknown service");
  EXPECT_OK(resolver_.Resolve(Wanting({1})).status());
}

TEST_F(ResolverPullTest, PlanIsRememberedForItsPullOnly) {
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

TEST_F(ResolverPullTest, SearchThatIsCutShortGoesOnNextTime) {
  containerd_.Add({1, 2});
  for (int i = 0; i < 20; ++i) containerd_.Add({100 + i});
  containerd_.answers_left = 9;
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "gave 9 of 21 image configs in time"));
  containerd_.answers_left = 100;
  EXPECT_OK(resolver_.Resolve(Wanting({1})).status());
  EXPECT_EQ(containerd_.reads, 22);
}

TEST_F(ResolverPullTest, PlanOfASearchThatIsCutShortIsNotRemembered) {
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

TEST_F(ResolverPullTest, ContainerdThatGoesAwayIsTheReason) {
  containerd_.Add({1});
  containerd_.answers_left = 0;
  containerd_.slow = absl::UnavailableError("containerd: read: connection reset");
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "connection reset"));
  containerd_.lease_failure = absl::UnavailableError("containerd: list leases: connection refused");
  EXPECT_THAT(resolver_.Resolve(Wanting({1})), StatusIs(StatusCode::kNotFound, "connection refused"));
}

TEST_F(ResolverPullTest, RememberedPlanDoesWithoutContainerd) {
  containerd_.Add({1, 2});
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  containerd_.lease_failure = absl::UnavailableError("containerd: list leases: connection refused");
  now_ += absl::Seconds(2);
  EXPECT_OK(resolver_.Resolve(Wanting({1, 2})).status());
}

TEST_F(ResolverPullTest, ManifestsAndNamesThatVanishMeanwhileAreDoneWithout) {
  const ContainerdDouble::Image old_image = containerd_.Add({1, 2}, "old");
  const ContainerdDouble::Image new_image = containerd_.Add({1, 3}, "new");
  containerd_.documents.erase(new_image.manifest);
  containerd_.image_failure = absl::UnavailableError("containerd: list images: gone");
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.layers[1].diff_id, DiffId(2));
  EXPECT_EQ(plan.image, "172.30.0.1/app@" + old_image.manifest.ToString());
  EXPECT_THAT(resolver_.Resolve(Wanting({1, 3})), StatusIs(StatusCode::kNotFound, "not found"));
}

TEST_F(ResolverPullTest, ConfigsThatAreTooMuchAreReadOnce) {
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

TEST_F(ResolverPullTest, IndexWithoutLabelsLeavesTheNameOpen) {
  const ContainerdDouble::Image image = containerd_.Add({1});
  containerd_.images = {{"172.30.0.1:5000/app:1", Digest::Of("an index that containerd does not list")}};
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.image, "172.30.0.1/app@" + image.manifest.ToString());
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", "app"}));
}

TEST_F(ResolverPullTest, RegistryThatServedIsAmongTheEndpoints) {
  containerd_.Add({1});
  resolver_.NoteServed({"172.30.0.1:5000", "other"});
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", "app"}));
  EXPECT_TRUE(plan.endpoints[1].port_is_guess);
}

TEST_F(ResolverPullTest, PortThatALabelTellsIsNotMissedByAPlanThatGuessed) {
  containerd_.Add({1, 2});
  ASSERT_OK_AND_ASSIGN(Plan plan, resolver_.Resolve(Wanting({1})));
  ASSERT_EQ(plan.endpoints.size(), 1u);
  EXPECT_TRUE(plan.endpoints[0].port_is_guess);

  LayerRequest told = Wanting({1, 2});
  told.labels = {{kImageRefLabel, "172.30.0.1:5000/app:1"}};
  ASSERT_OK_AND_ASSIGN(plan, resolver_.Resolve(told));
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", "app"}));
  EXPECT_EQ(containerd_.lists, 2);
  // Then it is known to all.
  ASSERT_OK(resolver_.Resolve(told).status());
  ASSERT_OK_AND_ASSIGN(plan, resolver_.Resolve(Wanting({1})));
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", "app"}));
  EXPECT_EQ(containerd_.lists, 2);
}

TEST_F(ResolverPullTest, LabelThatFitsNoSourceMakesNobodySearchAgain) {
  containerd_.Add({1, 2});
  ASSERT_OK(resolver_.Resolve(Wanting({1})).status());
  LayerRequest told = Wanting({1, 2});
  for (const char* image : {"10.0.0.1:5000/app:1", "172.30.0.1:5000/other:1", "172.30.0.1/app:1"}) {
    told.labels = {{kImageRefLabel, image}};
    ASSERT_OK(resolver_.Resolve(told).status());
  }
  EXPECT_EQ(containerd_.lists, 1);
}

TEST_F(ResolverPullTest, OrderThatIsCutShortIsNotRemembered) {
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

TEST_F(ResolverPullTest, MoreImagesThanAreRememberedAreAllFound) {
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

TEST_F(ResolverPullTest, PullsAtOnceInTwoNamespacesShareWhatTheyRead) {
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
  // Each pull may read its manifest; a few may read a leased config before the others know it, and who comes when all
  // but the last few are known reads these, too. Each on its own they would be 8 * kImages.
  EXPECT_GE(containerd_.reads, kImages + 2);
  EXPECT_LE(containerd_.reads, kImages + 8 + 4 + 7 * 8);
}

}  // namespace
}  // namespace sluice
