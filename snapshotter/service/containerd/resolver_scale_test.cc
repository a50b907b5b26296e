// The resolver beside a real containerd with 5,000 images: what it asks for, and within what time.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/resolver.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "tests/testing/private_containerd.h"
#include "tests/testing/pulled_images.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::FetchDocuments;
using testing::MakePulledImage;
using testing::PulledImage;
using testing::StatusIs;

// Watched by a sanitizer the client would need longer for a list of all than the resolver waits.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kImages = 1500;
#else
constexpr int kImages = 5000;
#endif
// Of the other namespace: some that both have, some that only it has.
constexpr int kFirstOther = kImages - 500;
constexpr int kEndOther = kImages + 500;
// Half a second is asked for; this machine may have other things to do, and this build may be slow.
constexpr absl::Duration kCold = absl::Seconds(2);
const absl::Duration kGivesUp = 2 * Resolver::kTimeout;

struct Calls {
  int manifest_lists;
  int lease_lists;
  int image_lists;
  int stats;
  int reads;
  bool operator==(const Calls&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Calls& calls) {
  return out << calls.manifest_lists << " lists of manifests, " << calls.lease_lists << " of leases, "
             << calls.image_lists << " of images, " << calls.stats << " stats, " << calls.reads << " reads";
}

class CountingContentStore : public ContentStore {
 public:
  explicit CountingContentStore(const std::shared_ptr<grpc::Channel>& channel) : store_(channel) {}

  absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string& containerd_namespace,
                                                         absl::Time deadline) override {
    ++manifest_lists_;
    return store_.ListManifests(containerd_namespace, deadline);
  }
  absl::StatusOr<std::vector<Digest>> ListLeased(const std::string& containerd_namespace,
                                                 absl::Time deadline) override {
    ++lease_lists_;
    return store_.ListLeased(containerd_namespace, deadline);
  }
  absl::StatusOr<ContentInfo> Stat(const std::string& containerd_namespace, const Digest& digest,
                                   absl::Time deadline) override {
    ++stats_;
    return store_.Stat(containerd_namespace, digest, deadline);
  }
  absl::StatusOr<std::string> ReadDocument(const std::string& containerd_namespace, const Digest& digest,
                                           int64_t max_bytes, absl::Time deadline) override {
    absl::StatusOr<std::string> document = store_.ReadDocument(containerd_namespace, digest, max_bytes, deadline);
    if (document.ok()) ++reads_;
    return document;
  }
  bool HasBlob(const std::string& containerd_namespace, const Digest& digest, std::optional<int64_t> size,
               absl::Time deadline) override {
    return store_.HasBlob(containerd_namespace, digest, size, deadline);
  }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string& containerd_namespace, const Digest& digest,
                                                       const Cancellation* cancellation) override {
    return store_.OpenBlob(containerd_namespace, digest, cancellation);
  }
  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string& containerd_namespace,
                                                      absl::Time deadline) override {
    ++image_lists_;
    return store_.ListImages(containerd_namespace, deadline);
  }

  // Since the last time.
  Calls Take() {
    return {.manifest_lists = manifest_lists_.exchange(0),
            .lease_lists = lease_lists_.exchange(0),
            .image_lists = image_lists_.exchange(0),
            .stats = stats_.exchange(0),
            .reads = reads_.exchange(0)};
  }

 private:
  ContentStoreClient store_;
  std::atomic<int> manifest_lists_{0};
  std::atomic<int> lease_lists_{0};
  std::atomic<int> image_lists_{0};
  std::atomic<int> stats_{0};
  std::atomic<int> reads_{0};
};

// The images are loaded once for all tests.
class ResolverScaleTest : public ::testing::Test {
 protected:
  struct Containerd {
    testing::PrivateContainerd containerd{"", testing::TempDir::Place::kMemory};
    std::shared_ptr<grpc::Channel> channel = OpenContainerdChannel(containerd.socket_path());
    Cancellation cancellation;
    ContainerdSession session{channel, "default", cancellation};
    ContainerdSession other_session{channel, "k8s.io", cancellation};
  };

  static void SetUpTestSuite() {
    shared_ = new Containerd;
    ASSERT_OK(testing::PullImages(shared_->session, 0, kImages));
    ASSERT_OK(testing::PullImages(shared_->other_session, kFirstOther, kEndOther));
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  static LayerRequest Wanting(const PulledImage& image, size_t layer,
                              const std::string& containerd_namespace = "default") {
    LayerRequest request;
    request.containerd_namespace = containerd_namespace;
    request.ref = image.chain_ids[layer];
    request.has_parent = layer > 0;
    if (request.has_parent) request.parent_chain_id = image.chain_ids[layer - 1];
    return request;
  }

  // Searches may be cut short here; each goes on where the last one stopped.
  absl::StatusOr<Plan> ResolvePatiently(const LayerRequest& request) {
    absl::StatusOr<Plan> plan = resolver_.Resolve(request);
    for (int tries = 0; tries < 20 && absl::StrContains(plan.status().message(), "in time"); ++tries) {
      plan = resolver_.Resolve(request);
    }
    return plan;
  }

  static Containerd* shared_;
  CountingContentStore store_{shared_->channel};
  Resolver resolver_{&store_, {}};
};

ResolverScaleTest::Containerd* ResolverScaleTest::shared_ = nullptr;

struct PullCase {
  const char* name;
  int image;
  size_t layer;
};

class PullTest : public ResolverScaleTest, public ::testing::WithParamInterface<PullCase> {};

TEST_P(PullTest, LooksAtNothingButTheImageThatIsBeingPulled) {
  const PulledImage image = MakePulledImage(GetParam().image);
  ASSERT_OK_AND_ASSIGN(const Lease lease, Lease::Take(shared_->session));
  ASSERT_OK(FetchDocuments(shared_->session, image));

  const absl::Time start = absl::Now();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting(image, GetParam().layer)));
  EXPECT_LT(absl::Now() - start, kCold);
  // Asks about its documents, and reads its config and its manifest.
  const int documents = image.index.has_value() ? 3 : 2;
  EXPECT_EQ(store_.Take(),
            (Calls{.manifest_lists = 0, .lease_lists = 1, .image_lists = 1, .stats = documents, .reads = 2}));
  EXPECT_EQ(plan.position, GetParam().layer);
  EXPECT_EQ(plan.layers.back().chain_id, image.chain_ids.back());
  EXPECT_EQ(plan.endpoints[0], (Endpoint{"172.30.0.1:5000", image.repository}));
  EXPECT_EQ(plan.image, GetParam().image < kImages ? image.name
                                                   : absl::StrCat("172.30.0.1/", image.repository, "@",
                                                                  Digest::Of(image.manifest).ToString()));

  for (size_t layer = 0; layer < image.chain_ids.size(); ++layer) {
    ASSERT_OK(resolver_.Resolve(Wanting(image, layer)).status());
  }
  const Calls repeated = store_.Take();
  EXPECT_EQ(repeated.manifest_lists + repeated.image_lists + repeated.stats + repeated.reads, 0) << repeated;
}

INSTANTIATE_TEST_SUITE_P(Images, PullTest,
                         ::testing::Values(PullCase{"NewImage", kEndOther + 1, 0},
                                           PullCase{"NewestImageAgain", kImages - 1, 1},
                                           PullCase{"OldImageAgain", 1200, 2},
                                           PullCase{"BaseLayerOfAThousand", 500, 0}),
                         [](const auto& pull) { return pull.param.name; });

TEST_F(ResolverScaleTest, UnknownLayerIsSaidToBeUnknown) {
  const LayerRequest request = Wanting(MakePulledImage(kEndOther), 0);
  const absl::Time start = absl::Now();
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kNotFound, "cannot tell which layer this is"));
  EXPECT_LT(absl::Now() - start, kGivesUp);

  EXPECT_THAT(ResolvePatiently(request), StatusIs(StatusCode::kNotFound, "no image in containerd's content store"));
  EXPECT_EQ(store_.Take().reads, kImages) << "each config is read once";
  EXPECT_THAT(resolver_.Resolve(request), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(store_.Take(), (Calls{.manifest_lists = 1, .lease_lists = 1, .image_lists = 0, .stats = 0, .reads = 0}));
}

TEST_F(ResolverScaleTest, WithoutALeaseTheImageThatWasTouchedLastWins) {
  const PulledImage image = MakePulledImage(333);
  {
    ASSERT_OK_AND_ASSIGN(const Lease lease, Lease::Take(shared_->session));
    ASSERT_OK(FetchDocuments(shared_->session, image));
  }
  // So that no search is cut short when it matters.
  EXPECT_THAT(ResolvePatiently(Wanting(MakePulledImage(kEndOther), 0)), StatusIs(StatusCode::kNotFound));
  store_.Take();
  const absl::Time start = absl::Now();
  ASSERT_OK_AND_ASSIGN(const Plan plan, resolver_.Resolve(Wanting(image, 0)));
  EXPECT_LT(absl::Now() - start, kCold);
  EXPECT_EQ(plan.image, image.name);
  EXPECT_EQ(
      store_.Take(),
      (Calls{
          .manifest_lists = 1, .lease_lists = 1, .image_lists = 1, .stats = PulledImage::kSharingImages, .reads = 1}));
}

TEST_F(ResolverScaleTest, PullsAtOnceInTwoNamespacesGetTheirOwnImages) {
  ASSERT_OK_AND_ASSIGN(const Lease lease, Lease::Take(shared_->session));
  ASSERT_OK_AND_ASSIGN(const Lease other_lease, Lease::Take(shared_->other_session));
  std::vector<std::thread> pulls;
  for (int i = 0; i < 4; ++i) {
    const bool is_other = i % 2 == 1;
    const PulledImage image = MakePulledImage(is_other ? kEndOther - 1 - 10 * i : 1000 + 10 * i);
    ASSERT_OK(FetchDocuments(is_other ? shared_->other_session : shared_->session, image));
    pulls.emplace_back([this, image, containerd_namespace = is_other ? "k8s.io" : "default"] {
      for (size_t layer = 0; layer < image.chain_ids.size(); ++layer) {
        const absl::StatusOr<Plan> plan = resolver_.Resolve(Wanting(image, layer, containerd_namespace));
        ASSERT_OK(plan.status());
        EXPECT_EQ(plan->image, image.name);
      }
    });
  }
  for (std::thread& pull : pulls) pull.join();
  EXPECT_LE(store_.Take().reads, 4 * (4 + 1)) << "at most the four configs and one manifest each";
}

}  // namespace
}  // namespace sluice
