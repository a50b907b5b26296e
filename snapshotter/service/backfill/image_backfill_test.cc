// A real containerd, with images in it whose layers it never got.
#include "snapshotter/service/backfill/image_backfill.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "containerd/services/content/v1/content.grpc.pb.h"
#include "containerd/services/leases/v1/leases.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/image_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/private_containerd.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/text_reader.h"

namespace sluice {
namespace {

using absl::StatusCode;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using testing::ReadToEnd;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::TarBuilder;
using testing::TempDir;

constexpr char kName[] = "172.30.0.1:5000/app:1";
constexpr char kSourceLabel[] = "containerd.io/distribution.source.172.30.0.1";
constexpr char kSnapshotLabel[] = "containerd.io/gc.ref.snapshot.sluice";

absl::Time Soon() { return absl::Now() + absl::Seconds(5); }

// Gives what it has, then fails.
class BreakingReader : public ByteReader {
 public:
  BreakingReader(std::string bytes, absl::Status failure) : reader_(std::move(bytes)), failure_(std::move(failure)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    ASSIGN_OR_RETURN(const size_t count, reader_.Read(buffer));
    if (count == 0 && !failure_.ok()) return failure_;
    return count;
  }

 private:
  testing::TextReader reader_;
  const absl::Status failure_;
};

class ImageBackfillTest : public ::testing::Test {
 protected:
  ImageBackfillTest() {
    options_.stores = {MakeOciLayoutStore("registry", layout_directory_.path(), {})};
    options_.locality = *LocalityRules::Create({});
    testing::ImageSpec spec;
    const testing::LayerSpec twice = {.tar = TarBuilder().File("twice", std::string(3'000'000, 't')).Build(),
                                      .compression = testing::LayerCompression::kNone};
    spec.layers = {
        {.tar = TarBuilder().File("a", "1").Build()}, twice, {.tar = TarBuilder().File("b", "2").Build()}, twice};
    image_ = layout_.WriteImage(spec);
  }

  // A pull that brought no layer. `layer_labels` are those of the manifest.
  void Pull(const ContentLabels& layer_labels, const std::string& containerd_namespace = "default") {
    ContainerdSession session(channel_, containerd_namespace, cancellation_);
    ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session));
    ContentWriter writer(session);
    ContentLabels labels = {{"containerd.io/gc.ref.content.config", image_.config.ToString()}, {kSourceLabel, "app"}};
    labels.insert(layer_labels.begin(), layer_labels.end());
    ASSERT_OK(writer.WriteDocument(image_.manifest, image_.manifest_json, labels));
    ASSERT_OK(writer.WriteDocument(image_.config, image_.config_json,
                                   {{kSnapshotLabel, image_.layers.back().chain_id.ToString()}}));
    Descriptor target;
    target.media_type = "application/vnd.oci.image.manifest.v1+json";
    target.digest = image_.manifest;
    target.size = static_cast<int64_t>(image_.manifest_json.size());
    ASSERT_OK(PutImage(session, kName, target));
    ASSERT_OK(lease.Release());
  }

  // Whatever no image and no lease keeps is gone.
  void CollectGarbage() {
    ContainerdSession session(channel_, "default", cancellation_);
    ASSERT_OK(Lease::Take(session).status());
  }

  // From now on the blobs are at the registry and nowhere else.
  void MoveToRegistry() {
    for (const testing::BuiltLayer& layer : image_.layers) {
      std::ifstream file(layout_.BlobPath(layer.digest));
      remote_[layer.digest] = std::string(std::istreambuf_iterator<char>(file), {});
    }
    options_.stores.clear();
    options_.open_remote = [this](const Endpoint& endpoint, const PlannedBlob& blob, int64_t offset,
                                  const Cancellation*) -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      requests_.push_back(absl::StrCat(endpoint.host, "/", endpoint.repository, " from ", offset));
      RETURN_IF_ERROR(refusal_);
      const std::string rest = remote_.at(blob.digest).substr(static_cast<size_t>(offset));
      if (static_cast<int64_t>(rest.size()) + offset < 1'000'000) return std::make_unique<testing::TextReader>(rest);
      const std::string first = rest.substr(0, gives_);
      return std::make_unique<BreakingReader>(garbage_ ? std::string(first.size(), 'g') : first, break_);
    };
  }

  absl::StatusOr<ImageBlobs> Inspect() {
    if (sources_ == nullptr) {
      sources_ = std::make_unique<LayerSources>(options_);
      backfill_ = std::make_unique<ImageBackfill>(ImageBackfill::Parts{
          .containerd = channel_,
          .store = &store_,
          .sources = sources_.get(),
          .origins = &origins_,
          .on_rejected =
              [this](const LayerOffer& offer, const absl::Status& reason) {
                rejected_.push_back(absl::StrCat(offer.place, ": ", reason.message()));
              },
          .before_read = [this] { return before_read_ == nullptr ? absl::OkStatus() : before_read_(); }});
    }
    ASSIGN_OR_RETURN(const UnpackedImages images, ListUnpackedImages(store_, "default", "sluice", Soon()));
    if (images.images.size() != 1) return absl::NotFoundError("no such image");
    return backfill_->Inspect(images, images.images[0]);
  }
  absl::Status Fill() {
    filled_.clear();
    ASSIGN_OR_RETURN(const ImageBlobs blobs, Inspect());
    return backfill_->Fill(blobs, cancellation_, [this](const FilledBlob& blob) { filled_.push_back(blob); });
  }

  std::map<std::string, std::string> LabelsOf(const Digest& digest) {
    const absl::StatusOr<ContentInfo> info = store_.Stat("default", digest, Soon());
    return info.ok() ? info->labels : std::map<std::string, std::string>();
  }
  // Every layer is in the content store, byte by byte.
  void ExpectWhole() {
    for (const testing::BuiltLayer& layer : image_.layers) {
      EXPECT_TRUE(store_.HasBlob("default", layer.digest, layer.size, Soon())) << layer.digest.ToString();
      ASSERT_OK_AND_ASSIGN(const auto reader, store_.OpenBlob("default", layer.digest, nullptr));
      ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadToEnd(*reader));
      EXPECT_EQ(Digest::Of(bytes), layer.digest);
    }
  }
  std::string LeasesAndIngests() {
    const auto content = containerd::services::content::v1::Content::NewStub(channel_);
    grpc::ClientContext context;
    PrepareCall(context, "default", Soon());
    containerd::services::content::v1::ListStatusesResponse ingests;
    EXPECT_TRUE(content->ListStatuses(&context, {}, &ingests).ok());
    return absl::StrCat(store_.ListLeased("default", Soon())->size(), " leased, ", ingests.statuses_size(),
                        " half done");
  }

  TempDir layout_directory_;
  testing::OciLayoutBuilder layout_{layout_directory_.path()};
  testing::BuiltImage image_;
  testing::PrivateContainerd containerd_{"", TempDir::Place::kMemory};
  std::shared_ptr<grpc::Channel> channel_ = OpenContainerdChannel(containerd_.socket_path());
  Cancellation cancellation_;
  ContentStoreClient store_{channel_};
  OriginFinder origins_{{.locality = *LocalityRules::Create({}), .known_hosts = {}, .hosts_dir = ""}};
  LayerSources::Options options_;
  std::map<Digest, std::string> remote_;
  std::vector<std::string> requests_;
  absl::Status refusal_;
  size_t gives_ = std::string::npos;  // of the large blob, at a request
  absl::Status break_;
  bool garbage_ = false;
  std::function<absl::Status()> before_read_;
  std::vector<std::string> rejected_;
  std::vector<FilledBlob> filled_;
  std::unique_ptr<LayerSources> sources_;
  std::unique_ptr<ImageBackfill> backfill_;
};

TEST_F(ImageBackfillTest, WhatIsMissingComesAndStaysAsLongAsTheImage) {
  Pull({});
  ASSERT_OK_AND_ASSIGN(const ImageBlobs blobs, Inspect());
  ASSERT_THAT(blobs.missing, SizeIs(3)) << "one layer is there twice";
  ASSERT_OK_AND_ASSIGN(const std::string place, backfill_->Locate(blobs, blobs.missing[0], cancellation_));
  EXPECT_EQ(place, "store=registry kind=oci-layout");
  ASSERT_OK(Fill());
  ExpectWhole();
  ASSERT_THAT(filled_, SizeIs(3));
  EXPECT_EQ(filled_[1].blob.digest, image_.layers[1].digest);
  EXPECT_EQ(filled_[1].place, "store=registry kind=oci-layout");
  EXPECT_EQ(LeasesAndIngests(), "0 leased, 0 half done");

  const auto manifest = LabelsOf(image_.manifest);
  EXPECT_THAT(manifest, Contains(Pair("containerd.io/gc.ref.content.l.0", image_.layers[0].digest.ToString())));
  EXPECT_THAT(manifest, Contains(Pair("containerd.io/gc.ref.content.l.1", image_.layers[1].digest.ToString())));
  EXPECT_THAT(manifest, Contains(Pair("containerd.io/gc.ref.content.l.2", image_.layers[2].digest.ToString())));
  EXPECT_THAT(manifest, Not(Contains(Key("containerd.io/gc.ref.content.l.3"))));
  EXPECT_THAT(LabelsOf(image_.layers[0].digest), ElementsAre(Pair(kSourceLabel, "app")));
  CollectGarbage();
  ExpectWhole();

  ASSERT_OK_AND_ASSIGN(const ImageBlobs after, Inspect());
  EXPECT_THAT(after.missing, IsEmpty());
  EXPECT_THAT(after.references, IsEmpty());

  ContainerdSession session(channel_, "default", cancellation_);
  ASSERT_OK(RemoveImage(session, kName));
  ASSERT_OK(RemoveImage(session, kName)) << "it is gone already";
  for (const testing::BuiltLayer& layer : image_.layers) {
    EXPECT_FALSE(store_.HasBlob("default", layer.digest, std::nullopt, Soon()));
  }
}

TEST_F(ImageBackfillTest, LabelsOfTheClientStay) {
  // Numbered otherwise, one in the way, and one that keeps something else.
  const ContentLabels labels = {{"containerd.io/gc.ref.content.7", image_.layers[0].digest.ToString()},
                                {"containerd.io/gc.ref.content.l.2", image_.layers[1].digest.ToString()},
                                {"containerd.io/gc.ref.content.l.9", Digest::Of("other").ToString()}};
  Pull(labels);
  ASSERT_OK_AND_ASSIGN(const ImageBlobs blobs, Inspect());
  EXPECT_THAT(blobs.references,
              ElementsAre(Pair("containerd.io/gc.ref.content.l.3", image_.layers[2].digest.ToString())));
  ASSERT_OK(Fill());
  for (const auto& label : labels) EXPECT_THAT(LabelsOf(image_.manifest), Contains(label));
  CollectGarbage();
  ExpectWhole();
}

TEST_F(ImageBackfillTest, WhatAnotherNamespaceHasNeedsNoSource) {
  Pull({});
  Pull({{"containerd.io/gc.ref.content.l.0", image_.layers[1].digest.ToString()}}, "other");
  ContainerdSession session(channel_, "other", cancellation_);
  ContentWriter writer(session);
  std::ifstream file(layout_.BlobPath(image_.layers[1].digest));
  ASSERT_OK(writer.WriteDocument(image_.layers[1].digest, std::string(std::istreambuf_iterator<char>(file), {}), {}));
  std::remove(layout_.BlobPath(image_.layers[1].digest).c_str());
  ASSERT_OK(Fill());
  ExpectWhole();
  EXPECT_EQ(filled_[1].place, "");
}

TEST_F(ImageBackfillTest, WithoutASourceItSaysWhyAndKeepsWhatItGot) {
  Pull({});
  std::remove(layout_.BlobPath(image_.layers[1].digest).c_str());
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kNotFound, image_.layers[1].digest.ToString()));
  EXPECT_THAT(filled_, SizeIs(1));
  EXPECT_EQ(LeasesAndIngests(), "0 leased, 0 half done");
  ASSERT_OK_AND_ASSIGN(const ImageBlobs blobs, Inspect());
  EXPECT_THAT(blobs.missing, SizeIs(2));
  EXPECT_THAT(backfill_->Locate(blobs, blobs.missing[0], cancellation_), StatusIs(StatusCode::kNotFound));
}

TEST_F(ImageBackfillTest, DamagedCopyGivesWayToTheRegistry) {
  Pull({});
  const auto store = options_.stores;
  MoveToRegistry();
  options_.stores = store;
  std::ofstream(layout_.BlobPath(image_.layers[1].digest)) << std::string(image_.layers[1].size, 'x');
  ASSERT_OK(Fill());
  ExpectWhole();
  EXPECT_THAT(rejected_, ElementsAre(HasSubstr("store=registry kind=oci-layout: containerd: write sha256:")));
  EXPECT_THAT(requests_, ElementsAre("172.30.0.1:5000/app from 0"));
  EXPECT_EQ(LeasesAndIngests(), "0 leased, 0 half done");
}

TEST_F(ImageBackfillTest, DamagedEverywhereIsNowhereAndLeavesNothing) {
  Pull({});
  std::ofstream(layout_.BlobPath(image_.layers[1].digest)) << std::string(image_.layers[1].size, 'x');
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kNotFound, "unexpected commit digest"));
  EXPECT_EQ(LeasesAndIngests(), "0 leased, 0 half done");
}

TEST_F(ImageBackfillTest, GoesOnWhereItStopped) {
  Pull({});
  MoveToRegistry();
  gives_ = 2'000'000;
  break_ = absl::UnavailableError("connection reset");
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kUnavailable, "connection reset"));
  EXPECT_EQ(LeasesAndIngests(), "0 leased, 1 half done");
  CollectGarbage();
  gives_ = std::string::npos;
  break_ = absl::OkStatus();
  requests_.clear();
  ASSERT_OK(Fill());
  ExpectWhole();
  EXPECT_THAT(requests_, ElementsAre("172.30.0.1:5000/app from 2000000", "172.30.0.1:5000/app from 0"))
      << "the large blob, then the last one";
}

TEST_F(ImageBackfillTest, WhatItStoppedAtMayBeWrong) {
  Pull({});
  MoveToRegistry();
  gives_ = 2'000'000;
  break_ = absl::UnavailableError("connection reset");
  garbage_ = true;
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kUnavailable));
  gives_ = std::string::npos;
  break_ = absl::OkStatus();
  garbage_ = false;
  requests_.clear();
  ASSERT_OK(Fill());
  ExpectWhole();
  EXPECT_EQ(requests_[0], "172.30.0.1:5000/app from 2000000");
  EXPECT_EQ(requests_[1], "172.30.0.1:5000/app from 0");
}

TEST_F(ImageBackfillTest, RegistryThatIsDownIsAnotherErrorThanOneWithoutTheBlob) {
  Pull({});
  MoveToRegistry();
  refusal_ = absl::UnavailableError("connection refused");
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kUnavailable, "connection refused"));
  sources_.reset();
  refusal_ = absl::NotFoundError("HTTP status 404");
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kNotFound, "HTTP status 404"));
}

TEST_F(ImageBackfillTest, OneWritesABlobAtATime) {
  Pull({});
  MoveToRegistry();
  int pieces = 0;
  absl::Status other;
  before_read_ = [&] {
    if (++pieces > 1) return absl::OkStatus();
    ContainerdSession session(channel_, "default", cancellation_);
    ContentWriter writer(session);
    const testing::BuiltLayer& layer = image_.layers[0];
    other = writer.Resume(absl::StrCat("sluice-backfill-", layer.digest.ToString()), layer.digest, layer.size, {},
                          [](int64_t) { return absl::InternalError("was asked for bytes"); });
    return absl::OkStatus();
  };
  ASSERT_OK(Fill());
  EXPECT_THAT(other, StatusIs(StatusCode::kUnavailable, "locked"));
  ExpectWhole();
}

TEST_F(ImageBackfillTest, PortIsGuessedOnlyWhereNobodyKnowsIt) {
  Pull({});
  EXPECT_THAT(Inspect()->origin.endpoints, ElementsAre(Endpoint{"172.30.0.1:5000", "app", false}));
}

TEST_F(ImageBackfillTest, CancelledItLeavesNoLease) {
  Pull({});
  MoveToRegistry();
  int pieces = 0;
  before_read_ = [&] {
    if (++pieces == 4) cancellation_.Cancel();
    return absl::OkStatus();
  };
  EXPECT_THAT(Fill(), StatusIs(StatusCode::kCancelled));
  EXPECT_EQ(LeasesAndIngests(), "0 leased, 1 half done");
}

TEST_F(ImageBackfillTest, WhatItWorksOnIsNotCollected) {
  Pull({});
  MoveToRegistry();
  before_read_ = [this] {
    ContainerdSession session(channel_, "default", cancellation_);
    EXPECT_OK(RemoveImage(session, kName));
    EXPECT_TRUE(store_.HasBlob("default", image_.manifest, std::nullopt, Soon()));
    return absl::OkStatus();
  };
  ASSERT_OK(Fill());
  CollectGarbage();
  EXPECT_FALSE(store_.HasBlob("default", image_.manifest, std::nullopt, Soon())) << "nobody wants it any more";
  EXPECT_FALSE(store_.HasBlob("default", image_.layers[0].digest, std::nullopt, Soon()));
}

TEST_F(ImageBackfillTest, LeaseOfOneThatWasKilledIsReplaced) {
  Pull({});
  ContainerdSession killed(channel_, "default", cancellation_);
  {
    const auto leases = containerd::services::leases::v1::Leases::NewStub(channel_);
    containerd::services::leases::v1::CreateRequest request;
    request.set_id(absl::StrCat("sluice-backfill-", image_.manifest.ToString()));
    containerd::services::leases::v1::CreateResponse response;
    ContainerdCall call(killed);
    ASSERT_TRUE(leases->Create(call.context(), request, &response).ok());
    killed.set_lease_id(request.id());
  }
  ASSERT_OK(KeepContent(killed, image_.manifest));
  ASSERT_OK(Fill());
  ASSERT_OK(RemoveImage(killed, kName));
  EXPECT_FALSE(store_.HasBlob("default", image_.manifest, std::nullopt, Soon())) << "the lease still keeps it";
}

TEST_F(ImageBackfillTest, ImageThatIsRemovedMeanwhileIsNoMissingBlob) {
  Pull({});
  ASSERT_OK_AND_ASSIGN(const ImageBlobs blobs, Inspect());
  ContainerdSession session(channel_, "default", cancellation_);
  ASSERT_OK(RemoveImage(session, kName));
  EXPECT_THAT(backfill_->Fill(blobs, cancellation_, nullptr), StatusIs(StatusCode::kAborted));
}

TEST_F(ImageBackfillTest, OnlyImagesOfTheSnapshotterAreListed) {
  Pull({});
  EXPECT_THAT(ListUnpackedImages(store_, "default", "overlayfs", Soon())->images, IsEmpty());
  EXPECT_THAT(ListUnpackedImages(store_, "other", "sluice", Soon())->images, IsEmpty());
  EXPECT_THAT(ListUnpackedImages(store_, "default", "a\"b", Soon()), StatusIs(StatusCode::kInvalidArgument));

  // By its tag through an index, and by its digest.
  const std::string index = absl::StrCat(R"({"schemaVersion":2,"manifests":[]})");
  ContainerdSession session(channel_, "default", cancellation_);
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session));
  ContentWriter writer(session);
  ASSERT_OK(writer.WriteDocument(Digest::Of(index), index,
                                 {{"containerd.io/gc.ref.content.m.0", image_.manifest.ToString()}}));
  Descriptor target;
  target.media_type = "application/vnd.oci.image.index.v1+json";
  target.digest = Digest::Of(index);
  target.size = static_cast<int64_t>(index.size());
  ASSERT_OK(PutImage(session, "172.30.0.1:5000/app:2", target));
  ASSERT_OK_AND_ASSIGN(const UnpackedImages images, ListUnpackedImages(store_, "default", "sluice", Soon()));
  ASSERT_THAT(images.images, SizeIs(1));
  EXPECT_THAT(images.images[0].names, ElementsAre(kName, "172.30.0.1:5000/app:2"));
  EXPECT_EQ(images.images[0].top_chain_id, image_.layers.back().chain_id.ToString());
  EXPECT_THAT(images.images[0].indexes, ElementsAre(Digest::Of(index)));

  // A pull that is not over has no record.
  ASSERT_OK(RemoveImage(session, kName));
  ASSERT_OK(RemoveImage(session, "172.30.0.1:5000/app:2"));
  EXPECT_THAT(ListUnpackedImages(store_, "default", "sluice", Soon())->images, IsEmpty());
}

}  // namespace
}  // namespace sluice
