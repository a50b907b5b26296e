// The clients against a real containerd.
#include <sys/mount.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/container_client.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/containerd/content_writer.h"
#include "snapshotter/service/containerd/identity.h"
#include "snapshotter/service/containerd/image_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/namespace_client.h"
#include "snapshotter/service/containerd/session.h"
#include "snapshotter/service/containerd/snapshot_client.h"
#include "tests/testing/compress.h"
#include "tests/testing/private_containerd.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/text_reader.h"

namespace sluice {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::Pair;
using testing::ReadToEnd;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

constexpr char kConfigLabel[] = "containerd.io/gc.ref.content.config";
constexpr char kIndexLabel[] = "containerd.io/gc.ref.content.m.0";
constexpr char kLayerLabel[] = "containerd.io/gc.ref.content.l.0";

absl::Time Soon() { return absl::Now() + absl::Seconds(2); }

class ClientsTest : public ::testing::Test {
 protected:
  Digest Put(const std::string& document, const ContentLabels& labels = {}) {
    ContentWriter writer(session_);
    const Digest digest = Digest::Of(document);
    EXPECT_OK(writer.WriteDocument(digest, document, labels));
    return digest;
  }

  testing::PrivateContainerd containerd_;
  std::shared_ptr<grpc::Channel> channel_ = OpenContainerdChannel(containerd_.socket_path());
  Cancellation cancellation_;
  ContainerdSession session_{channel_, "default", cancellation_};
  ContentStoreClient store_{channel_};
};

TEST_F(ClientsTest, ListsManifestsAndIndexesNewestFirst) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  const Digest config = Put("config");
  Put("a layer", {{"containerd.io/uncompressed", config.ToString()}});
  const Digest old_manifest = Put("old manifest", {{kConfigLabel, config.ToString()}});
  const Digest index = Put("index", {{kIndexLabel, old_manifest.ToString()}});
  const Digest new_manifest =
      Put("new manifest", {{kConfigLabel, config.ToString()}, {kLayerLabel, config.ToString()}});

  ASSERT_OK_AND_ASSIGN(std::vector<ContentInfo> manifests, store_.ListManifests("default", Soon()));
  ASSERT_EQ(manifests.size(), 3u);
  EXPECT_EQ(manifests[0].digest, new_manifest);
  EXPECT_EQ(manifests[0].size, 12);
  EXPECT_THAT(manifests[0].labels, ElementsAre(Pair(kConfigLabel, config.ToString())));
  EXPECT_EQ(manifests[1].digest, index);
  EXPECT_EQ(manifests[2].digest, old_manifest);

  // A pull of what is there labels it anew.
  ASSERT_OK_AND_ASSIGN(const ContentInfo before, store_.Stat("default", old_manifest, Soon()));
  Put("old manifest", {{"containerd.io/distribution.source.172.30.0.1", "app"}});
  ASSERT_OK_AND_ASSIGN(const ContentInfo after, store_.Stat("default", old_manifest, Soon()));
  EXPECT_GT(after.updated_at, before.updated_at);
  EXPECT_EQ(after.created_at, before.created_at);
  EXPECT_EQ(after.size, 12);
  EXPECT_EQ(after.labels.size(), 2u) << "labels that were there stay";
  EXPECT_THAT(store_.Stat("k8s.io", old_manifest, Soon()), StatusIs(StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(manifests, store_.ListManifests("k8s.io", Soon()));
  EXPECT_TRUE(manifests.empty());
}

TEST_F(ClientsTest, LeasesShowWhatIsBeingPulled) {
  ASSERT_OK_AND_ASSIGN(Lease naming, Lease::Take(session_));
  const Digest old_manifest = Put("old manifest");
  Put("another");
  Descriptor target;
  target.media_type = "application/vnd.oci.image.manifest.v1+json";
  target.digest = old_manifest;
  target.size = 12;
  ASSERT_OK(PutImage(session_, "172.30.0.1:5000/app:1", target));
  ASSERT_OK(naming.Release());
  EXPECT_THAT(*store_.ListLeased("default", Soon()), IsEmpty());

  ASSERT_OK_AND_ASSIGN(Lease pull, Lease::Take(session_));
  // What is here already is in the lease of who fetches it, too.
  Put("old manifest", {{"containerd.io/distribution.source.172.30.0.1", "app"}});
  const Digest config = Put("config");
  ASSERT_OK(KeepSnapshot(session_, "overlayfs", "layer"));
  ContainerdSession second_session(channel_, "default", cancellation_);
  ASSERT_OK_AND_ASSIGN(Lease second_pull, Lease::Take(second_session));
  ContentWriter writer(second_session);
  ASSERT_OK(writer.WriteDocument(Digest::Of("second"), "second", {}));

  ASSERT_OK_AND_ASSIGN(std::vector<Digest> leased, store_.ListLeased("default", Soon()));
  EXPECT_THAT(leased, UnorderedElementsAre(old_manifest, config, Digest::Of("second")));
  EXPECT_EQ(leased[0], Digest::Of("second")) << "the newest lease goes first";
  EXPECT_THAT(*store_.ListLeased("k8s.io", Soon()), IsEmpty());

  // An import.
  for (int i = 0; i < 1025; ++i) ASSERT_OK(KeepSnapshot(session_, "overlayfs", absl::StrCat("layer ", i)));
  EXPECT_THAT(*store_.ListLeased("default", Soon()), ElementsAre(Digest::Of("second")));
}

TEST_F(ClientsTest, ReadsDocumentsWithinTheirCap) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  const std::string large(5 << 20, 'x');
  const Digest digest = Put(large);
  ASSERT_OK_AND_ASSIGN(const std::string read, store_.ReadDocument("default", digest, 5 << 20, Soon()));
  EXPECT_EQ(read, large);
  EXPECT_THAT(store_.ReadDocument("default", digest, (5 << 20) - 1, Soon()),
              StatusIs(StatusCode::kResourceExhausted, "larger than"));
  EXPECT_THAT(store_.ReadDocument("k8s.io", digest, 5 << 20, Soon()), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(store_.ReadDocument("default", Digest::Of("absent"), 100, Soon()), StatusIs(StatusCode::kNotFound));
}

TEST_F(ClientsTest, StreamsBlobs) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  std::string large(5 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>(i / 1000);
  const Digest digest = Put(large);
  EXPECT_TRUE(store_.HasBlob("default", digest, 5 << 20, Soon()));
  EXPECT_TRUE(store_.HasBlob("default", digest, std::nullopt, Soon()));
  EXPECT_FALSE(store_.HasBlob("default", digest, 1, Soon()));
  EXPECT_FALSE(store_.HasBlob("k8s.io", digest, 5 << 20, Soon()));
  EXPECT_FALSE(store_.HasBlob("default", Digest::Of("absent"), std::nullopt, Soon()));

  ASSERT_OK_AND_ASSIGN(const auto reader, store_.OpenBlob("default", digest, nullptr));
  ASSERT_OK_AND_ASSIGN(const std::string read, ReadToEnd(*reader));
  EXPECT_EQ(Digest::Of(read), digest);
  char byte = 0;
  EXPECT_EQ(*reader->Read(absl::MakeSpan(&byte, 1)), 0u) << "the end stays the end";

  ASSERT_OK_AND_ASSIGN(const auto absent, store_.OpenBlob("default", Digest::Of("absent"), nullptr));
  EXPECT_THAT(ReadToEnd(*absent).status(), StatusIs(StatusCode::kNotFound));
}

TEST_F(ClientsTest, StreamOfABlobCanBeCancelledAndLeft) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  const Digest digest = Put(std::string(8 << 20, 'x'));
  Cancellation cancellation;
  ASSERT_OK_AND_ASSIGN(auto reader, store_.OpenBlob("default", digest, &cancellation));
  char byte = 0;
  ASSERT_EQ(*reader->Read(absl::MakeSpan(&byte, 1)), 1u);
  cancellation.Cancel();
  EXPECT_THAT(ReadToEnd(*reader).status(), StatusIs(StatusCode::kCancelled));
  reader.reset();
  ASSERT_OK_AND_ASSIGN(reader, store_.OpenBlob("default", digest, nullptr));
  reader.reset();  // nothing was read
}

TEST_F(ClientsTest, BlobOfAnotherNamespaceIsTakenOver) {
  ContainerdSession other_session(channel_, "other", cancellation_);
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  ASSERT_OK_AND_ASSIGN(Lease other_lease, Lease::Take(other_session));
  const Digest digest = Put("shared");
  ContentWriter writer(other_session);
  ASSERT_OK(writer.WriteDocument(digest, "shared", {{"containerd.io/uncompressed", "x"}}));
  ASSERT_OK_AND_ASSIGN(const std::string read, store_.ReadDocument("other", digest, 100, Soon()));
  EXPECT_EQ(read, "shared");
}

TEST_F(ClientsTest, ContentThatIsNotWhatItsDigestSaysIsRefused) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  ContentWriter writer(session_);
  EXPECT_THAT(writer.WriteDocument(Digest::Of("this"), "that", {}), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(writer.WriteDocument(Digest::Of("th"), "th", {}), IsOk());
  EXPECT_THAT(store_.ReadDocument("default", Digest::Of("this"), 100, Soon()), StatusIs(StatusCode::kNotFound));
}

TEST_F(ClientsTest, WithoutItsLeaseContentIsCollected) {
  Digest digest;
  {
    ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
    digest = Put("nobody names me");
    EXPECT_OK(store_.ReadDocument("default", digest, 100, Soon()).status());
  }
  EXPECT_THAT(store_.ReadDocument("default", digest, 100, Soon()), StatusIs(StatusCode::kNotFound));
}

TEST_F(ClientsTest, ImagesAreMadeAndMoved) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  Descriptor target;
  target.media_type = "application/vnd.oci.image.manifest.v1+json";
  target.digest = Put("first");
  target.size = 5;
  ASSERT_OK(PutImage(session_, "172.30.0.1:5000/app:1", target));
  target.digest = Put("second");
  target.size = 6;
  ASSERT_OK(PutImage(session_, "172.30.0.1:5000/app:1", target));
  ASSERT_OK_AND_ASSIGN(const std::vector<ImageRecord> images, store_.ListImages("default", Soon()));
  ASSERT_EQ(images.size(), 1u);
  EXPECT_EQ(images[0].name, "172.30.0.1:5000/app:1");
  EXPECT_EQ(images[0].target, Digest::Of("second"));
}

TEST_F(ClientsTest, LayerIsAppliedByContainerd) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  const std::string tar = testing::TarBuilder().File("hello", "world").Build();
  const std::string blob = testing::Gzip(tar);
  Descriptor layer;
  layer.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
  layer.digest = Put(blob);
  layer.size = static_cast<int64_t>(blob.size());

  SnapshotClient snapshots(session_, "overlayfs");
  ASSERT_OK_AND_ASSIGN(const SnapshotClient::Mounts mounts, snapshots.Prepare("extract", "", {}));
  ASSERT_OK_AND_ASSIGN(const Digest diff_id, snapshots.Apply(layer, mounts));
  EXPECT_EQ(diff_id, Digest::Of(tar));
  ASSERT_OK_AND_ASSIGN(bool exists, snapshots.Exists("layer"));
  EXPECT_FALSE(exists);
  ASSERT_OK(snapshots.Commit("layer", "extract", {}));
  ASSERT_OK_AND_ASSIGN(exists, snapshots.Exists("layer"));
  EXPECT_TRUE(exists);
  EXPECT_OK(KeepSnapshot(session_, "overlayfs", "layer"));
  EXPECT_THAT(snapshots.Prepare("layer", "", {}), StatusIs(StatusCode::kAlreadyExists));
  EXPECT_OK(snapshots.Remove("layer"));
}

TEST_F(ClientsTest, RecordsOfSnapshotsAreAskedForWithoutTheSnapshotter) {
  SnapshotClient snapshots(session_, "overlayfs");
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  ASSERT_OK(snapshots.Prepare("active", "", {}).status());
  ASSERT_OK(snapshots.Prepare("extract", "", {}).status());
  ASSERT_OK(snapshots.Commit("layer", "extract", {}));
  for (const char* key : {"active", "layer"}) EXPECT_TRUE(*snapshots.IsRecorded(key)) << key;
  for (const char* key : {"extract", "absent", "sluice-probe"}) EXPECT_FALSE(*snapshots.IsRecorded(key)) << key;
  EXPECT_FALSE(*snapshots.Exists("sluice-probe")) << "nothing was made";
  EXPECT_THAT(SnapshotClient(session_, "unknown").IsRecorded("layer"), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(SnapshotClient(session_, "unknown").Exists("layer"), StatusIs(StatusCode::kInvalidArgument));

  ASSERT_OK_AND_ASSIGN(const auto leased, ListLeasedSnapshots(session_, "overlayfs"));
  EXPECT_THAT(leased, ElementsAre(Pair(session_.lease_id(), UnorderedElementsAre("active", "layer"))));
  EXPECT_THAT(*ListLeasedSnapshots(session_, "native"), IsEmpty());
}

TEST_F(ClientsTest, NamespacesAndContainersAreListed) {
  EXPECT_THAT(*ListContainers(session_), IsEmpty());
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  ContainerdSession other(channel_, "other", cancellation_);
  ASSERT_OK_AND_ASSIGN(Lease other_lease, Lease::Take(other));
  EXPECT_THAT(*ListNamespaces(channel_, Soon()), UnorderedElementsAre("default", "other"));
}

TEST_F(ClientsTest, ContentIsKeptWithAllThatItRefersTo) {
  ContainerdSession kept(channel_, "default", cancellation_);
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(kept));
  Digest layer, manifest;
  {
    ASSERT_OK_AND_ASSIGN(Lease writing, Lease::Take(session_));
    layer = Put("layer");
    manifest = Put("manifest", {{kLayerLabel, layer.ToString()}});
    Put("neither");
    ASSERT_OK(KeepContent(kept, manifest));
  }
  EXPECT_TRUE(store_.HasBlob("default", manifest, std::nullopt, Soon()));
  EXPECT_TRUE(store_.HasBlob("default", layer, std::nullopt, Soon()));
  EXPECT_FALSE(store_.HasBlob("default", Digest::Of("neither"), std::nullopt, Soon()));
}

TEST_F(ClientsTest, UuidStaysTheSameAndAnotherOneIsRefused) {
  ASSERT_OK_AND_ASSIGN(const std::string uuid, ReadContainerdUuid(channel_, Soon()));
  EXPECT_EQ(uuid.size(), 36u);
  containerd_.Stop();
  EXPECT_THAT(ReadContainerdUuid(channel_, Soon()), StatusIs(StatusCode::kUnavailable));
  containerd_.Start();
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  absl::StatusOr<std::string> again = ReadContainerdUuid(channel_, Soon());
  while (!again.ok() && absl::Now() < deadline) again = ReadContainerdUuid(channel_, Soon());
  ASSERT_OK(again.status());
  EXPECT_EQ(*again, uuid);

  EXPECT_OK(CheckContainerdUuid(uuid, "", "/run/c.sock", "/var/lib/x"));
  EXPECT_OK(CheckContainerdUuid(uuid, uuid, "/run/c.sock", "/var/lib/x"));
  EXPECT_THAT(CheckContainerdUuid(uuid, "another", "/run/c.sock", "/var/lib/x"),
              StatusIs(StatusCode::kFailedPrecondition, "/var/lib/x belongs to the one with UUID another"));
}

// A reader that never ends, as a stalled download.
class EndlessReader : public ByteReader {
 public:
  explicit EndlessReader(const Cancellation& cancellation) : cancellation_(cancellation) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    absl::SleepFor(absl::Milliseconds(5));
    RETURN_IF_ERROR(cancellation_.Check());
    return buffer.size();
  }

 private:
  const Cancellation& cancellation_;
};

TEST_F(ClientsTest, InterruptedUploadEndsAndLeavesNothing) {
  {
    ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
    std::thread interrupt([&] {
      absl::SleepFor(absl::Milliseconds(200));
      cancellation_.Cancel();
    });
    ContentWriter writer(session_);
    EndlessReader reader(cancellation_);
    const absl::Time start = absl::Now();
    EXPECT_THAT(writer.Write(Digest::Of("x"), int64_t{1} << 40, {}, reader), StatusIs(StatusCode::kCancelled));
    EXPECT_LT(absl::Now() - start, absl::Seconds(1));
    interrupt.join();
  }
  const auto content = containerd::services::content::v1::Content::NewStub(channel_);
  grpc::ClientContext context;
  PrepareCall(context, "default", Soon());
  containerd::services::content::v1::ListStatusesResponse uploads;
  ASSERT_TRUE(content->ListStatuses(&context, {}, &uploads).ok());
  EXPECT_EQ(uploads.statuses_size(), 0);
}

TEST_F(ClientsTest, ContainerdThatIsBackIsFoundAtOnce) {
  containerd_.Stop();
  // As a daemon does that looks for its containerd every now and then.
  const absl::Time end = absl::Now() + absl::Seconds(2);
  while (absl::Now() < end) ASSERT_FALSE(ReadContainerdUuid(channel_, Soon()).ok());
  containerd_.Start();
  EXPECT_OK(store_.ListLeased("default", Soon()).status());
  EXPECT_OK(store_.ListManifests("default", Soon()).status());
}

TEST(NoContainerdTest, CallsFailAtOnceAndSayWhy) {
  ContentStoreClient store(OpenContainerdChannel("/tmp/no-such-socket"));
  const absl::Time start = absl::Now();
  EXPECT_THAT(store.ListManifests("default", Soon()), StatusIs(StatusCode::kUnavailable, "containerd: list content"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

}  // namespace
}  // namespace sluice
