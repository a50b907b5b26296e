// A real containerd and pulls that are told as the service tells them.
#include "snapshotter/service/backfill/background_backfill.h"

#include <atomic>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_writer.h"
#include "snapshotter/service/containerd/image_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "snapshotter/snapshot_errors.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/private_containerd.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/text_reader.h"

namespace sluice {
namespace {

using testing::TarBuilder;
using testing::TempDir;

constexpr char kHost[] = "172.30.0.1:5000";

absl::Time Soon() { return absl::Now() + absl::Seconds(5); }

bool Await(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

class BackgroundBackfillTest : public ::testing::Test {
 protected:
  BackgroundBackfillTest() {
    testing::ImageSpec spec;
    spec.layers = {{.tar = TarBuilder().File("a", std::string(20'000'000, 'a')).Build(),
                    .compression = testing::LayerCompression::kNone},
                   {.tar = TarBuilder().File("b", "2").Build()}};
    image_ = layout_.WriteImage(spec);
    options_.containerd = channel_;
    options_.store = &store_;
    options_.sources.locality = options_.origins.locality = *LocalityRules::Create({});
    // Reads from the layout, and counts.
    options_.sources.open_remote = [this](const Endpoint&, const PlannedBlob& blob, int64_t offset,
                                          const Cancellation*) -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      ++requests_;
      if (!has_blobs_) return absl::NotFoundError("HTTP status 404");
      std::ifstream file(layout_.BlobPath(blob.digest));
      std::string bytes(std::istreambuf_iterator<char>(file), {});
      return std::make_unique<CountingReader>(bytes.substr(static_cast<size_t>(offset)), reads_, gate_);
    };
  }

  class CountingReader : public ByteReader {
   public:
    CountingReader(std::string bytes, std::atomic<int>& reads, std::atomic<bool>& gate)
        : reader_(std::move(bytes)), reads_(reads), gate_(gate) {}
    absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
      ++reads_;
      while (!gate_) absl::SleepFor(absl::Milliseconds(1));
      return reader_.Read(buffer);
    }

   private:
    testing::TextReader reader_;
    std::atomic<int>& reads_;
    std::atomic<bool>& gate_;
  };

  // What a client has done when its pull is over, but for the record.
  void FetchDocuments(const std::string& containerd_namespace = "default") {
    ContainerdSession session(channel_, containerd_namespace, cancellation_);
    ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session));
    ContentWriter writer(session);
    ASSERT_OK(writer.WriteDocument(image_.manifest, image_.manifest_json,
                                   {{"containerd.io/gc.ref.content.config", image_.config.ToString()},
                                    {"containerd.io/distribution.source.172.30.0.1", "app"}}));
    ASSERT_OK(
        writer.WriteDocument(image_.config, image_.config_json,
                             {{"containerd.io/gc.ref.snapshot.sluice", image_.layers.back().chain_id.ToString()}}));
    NameImage(session);
    ASSERT_OK(lease.Release());
  }
  void NameImage(ContainerdSession& session) {
    Descriptor target;
    target.media_type = "application/vnd.oci.image.manifest.v1+json";
    target.digest = image_.manifest;
    target.size = static_cast<int64_t>(image_.manifest_json.size());
    ASSERT_OK(PutImage(session, absl::StrCat(kHost, "/app:1"), target));
  }

  void Start(std::vector<std::string> snapshotters = {}) {
    options_.snapshotters = std::move(snapshotters);
    backfill_ = std::make_unique<BackgroundBackfill>(options_);
  }
  // The Prepares of a pull, as the service tells them.
  void Prepare(const std::string& containerd_namespace = "default") {
    std::string parent;
    for (const testing::BuiltLayer& layer : image_.layers) {
      const std::string chain_id = layer.chain_id.ToString();
      backfill_->NotePrepareBegins();
      backfill_->NotePrepareEnds(
          {"sluice", absl::StrCat(containerd_namespace, "/1/extract ", chain_id), parent, {{kRefLabel, chain_id}}},
          LayerPresentError(chain_id));
      parent = chain_id;
    }
  }

  bool IsWhole(const std::string& containerd_namespace = "default") {
    for (const testing::BuiltLayer& layer : image_.layers) {
      if (!store_.HasBlob(containerd_namespace, layer.digest, layer.size, Soon())) return false;
    }
    return true;
  }

  TempDir layout_directory_;
  testing::OciLayoutBuilder layout_{layout_directory_.path()};
  testing::BuiltImage image_;
  testing::PrivateContainerd containerd_{"", TempDir::Place::kMemory};
  std::shared_ptr<grpc::Channel> channel_ = OpenContainerdChannel(containerd_.socket_path());
  Cancellation cancellation_;
  ContentStoreClient store_{channel_};
  std::atomic<bool> has_blobs_{true};
  std::atomic<int> requests_{0};
  std::atomic<int> reads_{0};
  std::atomic<bool> gate_{true};
  BackgroundBackfill::Options options_;
  std::unique_ptr<BackgroundBackfill> backfill_;
};

TEST_F(BackgroundBackfillTest, ImagesOfBeforeAreFoundAtTheStart) {
  FetchDocuments();
  FetchDocuments("k8s.io");
  Start({"sluice"});
  EXPECT_TRUE(Await([this] { return IsWhole() && IsWhole("k8s.io"); }));
}

TEST_F(BackgroundBackfillTest, PullIsWaitedFor) {
  Start();
  Prepare();
  // The record comes when the first looks were in vain.
  absl::SleepFor(absl::Milliseconds(1500));
  EXPECT_EQ(reads_, 0);
  FetchDocuments();
  EXPECT_TRUE(Await([this] { return IsWhole(); }));
}

TEST_F(BackgroundBackfillTest, NotAByteIsReadWhilePreparesWait) {
  FetchDocuments();
  gate_ = false;
  Start({"sluice"});
  ASSERT_TRUE(Await([this] { return reads_ == 1; }));
  backfill_->NotePrepareBegins();
  backfill_->NotePrepareBegins();
  gate_ = true;
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(reads_, 1);
  const PrepareRequest request = {"sluice", "default/1/x", "", {{kRefLabel, Digest::Of("x").ToString()}}};
  backfill_->NotePrepareEnds(request, absl::OkStatus());
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_EQ(reads_, 1) << "one still waits";
  backfill_->NotePrepareEnds(request, absl::CancelledError());
  EXPECT_TRUE(Await([this] { return IsWhole(); }));
  EXPECT_GT(reads_, 10);
}

TEST_F(BackgroundBackfillTest, EndsAtOnceAlsoWhileItWaits) {
  FetchDocuments();
  gate_ = false;
  Start({"sluice"});
  ASSERT_TRUE(Await([this] { return reads_ == 1; }));
  backfill_->NotePrepareBegins();
  gate_ = true;
  const absl::Time start = absl::Now();
  backfill_.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_FALSE(IsWhole());
  EXPECT_EQ(store_.ListLeased("default", Soon())->size(), 0u) << "no lease is left";
}

TEST_F(BackgroundBackfillTest, WhatFailedIsTriedAgain) {
  FetchDocuments();
  has_blobs_ = false;
  Start({"sluice"});
  ASSERT_TRUE(Await([this] { return requests_ >= 2; })) << "the first attempt, and another one by itself";
  EXPECT_FALSE(IsWhole());
  has_blobs_ = true;
  EXPECT_TRUE(Await([this] { return IsWhole(); }));
}

TEST_F(BackgroundBackfillTest, ImageThatComesBackIsAnotherOne) {
  FetchDocuments();
  Start({"sluice"});
  ASSERT_TRUE(Await([this] { return IsWhole() && store_.ListLeased("default", Soon())->empty(); }));
  ContainerdSession session(channel_, "default", cancellation_);
  ASSERT_OK(RemoveImage(session, absl::StrCat(kHost, "/app:1")));
  ASSERT_FALSE(IsWhole());
  FetchDocuments();
  Prepare();
  EXPECT_TRUE(Await([this] { return IsWhole(); }));
}

TEST_F(BackgroundBackfillTest, ContainerdNeedNotBeThere) {
  FetchDocuments();
  containerd_.Stop();
  Start({"sluice"});
  absl::SleepFor(absl::Milliseconds(200));
  containerd_.Start();
  EXPECT_TRUE(Await([this] { return IsWhole(); }));
}

}  // namespace
}  // namespace sluice
