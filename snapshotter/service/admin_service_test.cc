// The admin service over a socket, beside the snapshots service.
#include "snapshotter/service/admin_service.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "snapshotter/service/peer_guard.h"
#include "snapshotter/service/server.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class AdminServiceTest : public ::testing::Test {
 protected:
  AdminServiceTest() : pool_(2) {
    cache_ = BlobCache::Open(dir_.At("cache"), {.max_bytes = 1000}).value();
    snapshots_ = std::make_unique<SnapshotsService>(ServiceParts{&*snapshotter_, &pool_, &pool_, &pool_, &pool_});
    AdminFacts facts{"1.2.3", "/the/root", "/the/containerd.sock", {}};
    facts.configuration.set_path("/the/config.toml");
    admin_ = std::make_unique<AdminService>(
        AdminParts{&snapshotter_.metadata(), &snapshotter_.layers(), &snapshotter_.janitor(), &ledger_,
                   &snapshotter_.ledger(), cache_.get(), snapshots_.get(), &pool_},
        facts);
    const std::string path = dir_.At("s.sock");
    server_ =
        Server::Start(SocketClaim::Take(path).value(), {.snapshots = snapshots_.get(), .admin = admin_.get()}).value();
    stub_ = admin_v1::Admin::NewStub(grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials()));
  }
  ~AdminServiceTest() override { server_->Stop(absl::Seconds(1)); }

  admin_v1::StatusResponse Status() {
    grpc::ClientContext context;
    admin_v1::StatusResponse response;
    const grpc::Status status = stub_->Status(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  admin_v1::ListLayersResponse List(int64_t after_id = 0) {
    grpc::ClientContext context;
    admin_v1::ListLayersRequest request;
    request.set_after_id(after_id);
    admin_v1::ListLayersResponse response;
    const grpc::Status status = stub_->ListLayers(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  admin_v1::PruneLayersResponse Prune() {
    grpc::ClientContext context;
    admin_v1::PruneLayersResponse response;
    const grpc::Status status = stub_->PruneLayers(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // A committed snapshot whose directory is a layer of this content.
  void Claim(const std::string& content) {
    snapshotter_.ProvideLayer(content);
    const Labels labels = {{"containerd.io/snapshot.ref", Digest::Of(content).ToString()}};
    EXPECT_EQ(snapshotter_.Prepare("default/1/" + content, "", labels).status().code(),
              absl::StatusCode::kAlreadyExists);
  }

  testing::TempDir dir_;
  testing::SnapshotterFixture snapshotter_;
  FillLedger ledger_;
  std::unique_ptr<BlobCache> cache_;
  WorkerPool pool_;
  std::unique_ptr<SnapshotsService> snapshots_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<admin_v1::Admin::Stub> stub_;
};

TEST_F(AdminServiceTest, SaysWhatItServesAndHolds) {
  ASSERT_OK(snapshotter_.metadata().Write(
      [](MetadataWriter& writer) { return writer.SetMeta(kContainerdUuidKey, "the-uuid"); }));
  ASSERT_OK(snapshotter_.Prepare("default/1/rw").status());
  Claim("layer");
  ASSERT_OK(snapshotter_.PublishLayer("ahead").status());
  ASSERT_OK(cache_->WriteDocument(Digest::Of("12345"), "12345"));

  const admin_v1::StatusResponse status = Status();
  EXPECT_EQ(status.version(), "1.2.3");
  EXPECT_EQ(status.root(), "/the/root");
  EXPECT_GT(status.started_at().seconds(), 1'700'000'000);
  EXPECT_EQ(status.configuration().path(), "/the/config.toml");
  EXPECT_EQ(status.containerd().address(), "/the/containerd.sock");
  EXPECT_EQ(status.containerd().uuid(), "the-uuid");
  EXPECT_EQ(status.containerd().refusal(), "");
  std::map<std::string, int64_t> snapshots;
  for (const auto& count : status.snapshots()) snapshots[count.snapshotter() + " " + count.kind()] = count.count();
  EXPECT_EQ(snapshots, (std::map<std::string, int64_t>{{"sluice active", 1}, {"sluice committed", 1}}));
  EXPECT_EQ(status.layers().layers(), 2);
  EXPECT_EQ(status.layers().bytes(), 2 * 8192);
  EXPECT_EQ(status.layers().unclaimed_layers(), 1);
  EXPECT_EQ(status.layers().unclaimed_bytes(), 8192);
  EXPECT_EQ(status.cache().path(), dir_.At("cache"));
  EXPECT_EQ(status.cache().bytes(), 5);
  EXPECT_EQ(status.cache().blobs(), 1);
  EXPECT_EQ(status.cache().max_bytes(), 1000);
}

TEST_F(AdminServiceTest, SaysWhatIsBeingFilledAndWas) {
  const PlannedBlob blob{Digest::Of("blob"), 10};
  const auto queued = ledger_.Begin("r.lan/app:1", {blob});
  const auto reading = ledger_.Begin("r.lan/app:1", {});
  reading->GaveUp(Strategy::kLayout, absl::DataLossError("damaged"));
  reading->Reading(Strategy::kStream, blob);
  ledger_.Begin("", {})->Filled({.layer_id = 1, .strategy = Strategy::kCached, .bytes = 7});
  Claim("layer");
  ASSERT_OK(snapshotter_.Prepare("default/1/rw").status());
  ASSERT_OK(snapshotter_.Prepare("default/2/x", "", {{"containerd.io/snapshot.ref", "no digest"}}).status());

  const admin_v1::StatusResponse status = Status();
  ASSERT_THAT(status.fills(), SizeIs(2));
  EXPECT_EQ(status.fills(0).stage(), admin_v1::Fill::QUEUED);
  EXPECT_EQ(status.fills(0).strategy(), "");
  EXPECT_EQ(status.fills(0).image(), "r.lan/app:1");
  EXPECT_EQ(status.fills(1).stage(), admin_v1::Fill::READING);
  EXPECT_EQ(status.fills(1).strategy(), "stream");
  EXPECT_EQ(status.fills(1).digest(), blob.digest.ToString());
  EXPECT_EQ(status.fills(1).total_bytes(), 10);
  ASSERT_THAT(status.strategies(), SizeIs(1));
  EXPECT_EQ(status.strategies(0).strategy(), "cached");
  EXPECT_EQ(status.strategies(0).bytes(), 7);
  ASSERT_THAT(status.fallbacks(), SizeIs(2));
  EXPECT_EQ(status.fallbacks(0).strategy(), "layout");
  EXPECT_EQ(status.fallbacks(0).reason(), "corrupt");
  EXPECT_EQ(status.fallbacks(0).count(), 1);
  EXPECT_EQ(status.fallbacks(0).last_message(), "damaged");
  EXPECT_EQ(status.fallbacks(1).strategy(), "defer");
  EXPECT_EQ(status.fallbacks(1).reason(), "bad_ref");
  std::vector<std::string> prepares;
  for (const auto& count : status.prepares()) {
    prepares.push_back(absl::StrCat(count.strategy(), " ", count.outcome(), " ", count.count()));
  }
  EXPECT_THAT(prepares, ::testing::ElementsAre("defer mounts 1", "none mounts 1", "present provided 1"));
  EXPECT_EQ(status.prepares_in_flight(), 0);
}

TEST_F(AdminServiceTest, AnswersWhileContainerdIsRefused) {
  snapshots_->Refuse(absl::FailedPreconditionError("another containerd"));
  EXPECT_EQ(Status().containerd().refusal(), "another containerd");
}

TEST_F(AdminServiceTest, ListsAndPrunesLayers) {
  Claim("used");
  ASSERT_OK(snapshotter_.PublishLayer("unused").status());
  admin_v1::ListLayersResponse layers = List();
  ASSERT_THAT(layers.layers(), SizeIs(2));
  EXPECT_FALSE(layers.has_more());
  EXPECT_EQ(layers.layers(0).diff_id(), Digest::Of("used").ToString());
  EXPECT_EQ(layers.layers(0).chain_id(), "");
  EXPECT_EQ(layers.layers(0).blob_digest(), Digest::Of("used.gz").ToString());
  EXPECT_EQ(layers.layers(0).bytes(), 8192);
  ASSERT_THAT(layers.layers(0).users(), SizeIs(1));
  EXPECT_EQ(layers.layers(0).users(0).snapshotter(), "sluice");
  EXPECT_EQ(layers.layers(0).users(0).key(), Digest::Of("used").ToString());
  EXPECT_THAT(layers.layers(1).users(), IsEmpty());

  snapshotter_.clock().Advance(absl::Nanoseconds(1));
  const admin_v1::PruneLayersResponse pruned = Prune();
  EXPECT_EQ(pruned.layers(), 1);
  EXPECT_EQ(pruned.bytes(), 8192);
  EXPECT_THAT(snapshotter_.tree().TrashNames().value(), IsEmpty()) << "its room is free when the answer comes";
  layers = List();
  ASSERT_THAT(layers.layers(), SizeIs(1));
  EXPECT_EQ(layers.layers(0).diff_id(), Digest::Of("used").ToString());
  EXPECT_EQ(Prune().layers(), 0);
}

TEST_F(AdminServiceTest, ManyLayersComeInPages) {
  constexpr int kLayers = 501;
  for (int i = 0; i < kLayers; ++i) ASSERT_OK(snapshotter_.PublishLayer(absl::StrCat(i)).status());
  const admin_v1::ListLayersResponse first = List();
  EXPECT_TRUE(first.has_more());
  ASSERT_THAT(first.layers(), SizeIs(500));
  const admin_v1::ListLayersResponse second = List(first.layers(499).id());
  EXPECT_FALSE(second.has_more());
  ASSERT_THAT(second.layers(), SizeIs(1));
  EXPECT_GT(second.layers(0).id(), first.layers(499).id());
  EXPECT_THAT(List(second.layers(0).id()).layers(), IsEmpty());
}

}  // namespace
}  // namespace sluice
