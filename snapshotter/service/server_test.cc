// The service over a socket: what a client sees of each call.
#include "snapshotter/service/server.h"

#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fill/applier_fixture.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using testing::SnapshotterFixture;

namespace health_v1 = grpc::health::v1;

constexpr char kSnapshotsName[] = "containerd.services.snapshots.v1.Snapshots";
constexpr char kDiffName[] = "containerd.services.diff.v1.Diff";

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : quick_(2), walks_(1), cleanup_(1) {
    ServiceParts parts{&*snapshotter_, &quick_, &walks_, &cleanup_, &quick_};
    parts.ledger = &prepares_;
    parts.on_layer_wanted = [this] { Note("wanted"); };
    parts.on_layer_answered = [this](const PrepareRequest& request, const absl::Status& answer) {
      Note(absl::StrCat(request.key, " over ", request.parent, ": ", absl::StatusCodeToString(answer.code())));
    };
    service_ = std::make_unique<SnapshotsService>(parts);
    diff_ = std::make_unique<DiffService>(*applier_, *service_);
    server_ = Server::Start(SocketClaim::Take(path_).value(), {service_.get(), diff_.get(), nullptr, &rpcs_}).value();
    const std::shared_ptr<grpc::Channel> channel =
        grpc::CreateChannel("unix:" + path_, grpc::InsecureChannelCredentials());
    stub_ = snapshots_v1::Snapshots::NewStub(channel);
    health_ = health_v1::Health::NewStub(channel);
  }
  ~ServerTest() override { server_->Stop(absl::Seconds(1)); }

  // Calls with `request` given as its text fields; the namespace header is sent if it is not empty.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (snapshots_v1::Snapshots::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                          Response*),
                    const Request& request, Response* response, const std::string& header = "") {
    grpc::ClientContext context;
    if (!header.empty()) context.AddMetadata("containerd-namespace", header);
    return ((*stub_).*method)(&context, request, response);
  }
  grpc::Status Prepare(const std::string& key, const std::string& parent = "", const std::string& header = "") {
    snapshots_v1::PrepareSnapshotRequest request;
    request.set_snapshotter("sluice");
    request.set_key(key);
    request.set_parent(parent);
    prepared_.Clear();
    return Call(&snapshots_v1::Snapshots::Stub::Prepare, request, &prepared_, header);
  }
  grpc::Status Commit(const std::string& name, const std::string& key, const std::string& parent = "") {
    snapshots_v1::CommitSnapshotRequest request;
    request.set_snapshotter("sluice");
    request.set_name(name);
    request.set_key(key);
    request.set_parent(parent);
    google::protobuf::Empty empty;
    return Call(&snapshots_v1::Snapshots::Stub::Commit, request, &empty);
  }
  grpc::Status Stat(const std::string& key, snapshots_v1::StatSnapshotResponse* response) {
    snapshots_v1::StatSnapshotRequest request;
    request.set_snapshotter("sluice");
    request.set_key(key);
    return Call(&snapshots_v1::Snapshots::Stub::Stat, request, response);
  }
  // A Prepare of a layer that never comes; ends when `context` is cancelled or the server stops.
  std::future<grpc::Status> PrepareForever(grpc::ClientContext& context) {
    snapshotter_.provider().Set(
        [](const LayerRequest&, const std::shared_ptr<Cancellation>&, const LayerProvider::Done&) {});
    auto pending = std::async(std::launch::async, [this, &context] {
      snapshots_v1::PrepareSnapshotRequest request;
      request.set_snapshotter("sluice");
      request.set_key("waiting");
      (*request.mutable_labels())[kRefLabel] = Digest::Of("x").ToString();
      snapshots_v1::PrepareSnapshotResponse response;
      return stub_->Prepare(&context, request, &response);
    });
    while (snapshotter_.provider().requests().empty()) absl::SleepFor(absl::Milliseconds(1));
    return pending;
  }

  // "SERVING" and the like, or the code of a call that failed.
  std::string Health(const std::string& service) {
    grpc::ClientContext context;
    health_v1::HealthCheckRequest request;
    request.set_service(service);
    health_v1::HealthCheckResponse response;
    const grpc::Status status = health_->Check(&context, request, &response);
    if (!status.ok()) return absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
    return health_v1::HealthCheckResponse::ServingStatus_Name(response.status());
  }

  void Note(std::string event) {
    const MutexLock lock(events_mutex_);
    events_.push_back(std::move(event));
  }
  // What the service has told of layers, once there are `count` events.
  std::vector<std::string> Events(size_t count) {
    for (;; absl::SleepFor(absl::Milliseconds(1))) {
      const MutexLock lock(events_mutex_);
      if (events_.size() >= count) return events_;
    }
  }

  Mutex events_mutex_;
  std::vector<std::string> events_ SLUICE_GUARDED_BY(events_mutex_);
  testing::TempDir dir_;
  const std::string path_ = dir_.At("s.sock");
  testing::ApplierFixture applier_;
  SnapshotterFixture& snapshotter_ = applier_.snapshotter();
  WorkerPool quick_;
  WorkerPool walks_;
  WorkerPool cleanup_;
  PrepareLedger prepares_;
  RpcLedger rpcs_;
  std::unique_ptr<SnapshotsService> service_;
  std::unique_ptr<DiffService> diff_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<snapshots_v1::Snapshots::Stub> stub_;
  std::unique_ptr<health_v1::Health::Stub> health_;
  snapshots_v1::PrepareSnapshotResponse prepared_;
};

TEST(ServerPolicyTest, WhoIsNotServedHearsWhyInAnswerToEachCall) {
  const testing::TempDir dir;
  const std::string path = dir.At("s.sock");
  SnapshotterFixture snapshotter;
  WorkerPool pool(1);
  SnapshotsService service({&*snapshotter, &pool, &pool, &pool});
  ASSERT_OK_AND_ASSIGN(const auto server,
                       Server::Start(SocketClaim::Take(path).value(), {.snapshots = &service},
                                     {[](pid_t) { return Peer::kOtherContainerd; }, "not for you: the mend"}));
  const auto channel = grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials());
  const auto expect_refused = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(status.error_message(), "not for you: the mend");
  };
  const auto snapshots = snapshots_v1::Snapshots::NewStub(channel);
  {
    grpc::ClientContext context;
    snapshots_v1::RemoveSnapshotRequest request;
    google::protobuf::Empty empty;
    expect_refused(snapshots->Remove(&context, request, &empty));
  }
  {
    grpc::ClientContext context;
    snapshots_v1::ListSnapshotsResponse response;
    const auto list = snapshots->List(&context, snapshots_v1::ListSnapshotsRequest());
    EXPECT_FALSE(list->Read(&response));
    expect_refused(list->Finish());
  }
  {
    grpc::ClientContext context;
    health_v1::HealthCheckResponse response;
    expect_refused(health_v1::Health::NewStub(channel)->Check(&context, health_v1::HealthCheckRequest(), &response));
  }
  server->Stop(absl::Seconds(1));
}

TEST_F(ServerTest, PreparesOfLayersAreTold) {
  ASSERT_TRUE(Prepare("plain").ok());
  grpc::ClientContext context;
  std::future<grpc::Status> pending = PrepareForever(context);
  EXPECT_THAT(Events(1), ::testing::ElementsAre("wanted"));
  context.TryCancel();
  pending.wait();
  EXPECT_THAT(Events(2), ::testing::ElementsAre("wanted", "waiting over : CANCELLED"));
  service_->Refuse(absl::UnavailableError("another containerd"));
  grpc::ClientContext refused;
  snapshots_v1::PrepareSnapshotRequest request;
  request.set_snapshotter("sluice");
  request.set_key("key");
  request.set_parent("base");
  (*request.mutable_labels())[kRefLabel] = Digest::Of("x").ToString();
  EXPECT_EQ(stub_->Prepare(&refused, request, &prepared_).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Events(4),
              ::testing::ElementsAre("wanted", "waiting over : CANCELLED", "wanted", "key over base: UNAVAILABLE"));
}

TEST_F(ServerTest, ALifeOfASnapshot) {
  ASSERT_TRUE(Prepare("key").ok());
  ASSERT_EQ(prepared_.mounts_size(), 1);
  EXPECT_EQ(prepared_.mounts(0).type(), "bind");
  EXPECT_EQ(prepared_.mounts(0).options(0), "rw");

  snapshots_v1::MountsRequest mounts_request;
  mounts_request.set_snapshotter("sluice");
  mounts_request.set_key("key");
  snapshots_v1::MountsResponse mounts;
  ASSERT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Mounts, mounts_request, &mounts).ok());
  EXPECT_EQ(mounts.mounts(0).source(), prepared_.mounts(0).source());

  ASSERT_TRUE(Commit("name", "key").ok());
  snapshots_v1::StatSnapshotResponse stat;
  ASSERT_TRUE(Stat("name", &stat).ok());
  EXPECT_EQ(stat.info().name(), "name");
  EXPECT_EQ(stat.info().kind(), snapshots_v1::COMMITTED);
  EXPECT_EQ(stat.info().created_at().seconds(), 1'700'000'000);
  EXPECT_EQ(stat.info().created_at().nanos(), 123'456'789);
  EXPECT_EQ(stat.info().updated_at().nanos(), 123'456'789);

  snapshots_v1::ViewSnapshotRequest view_request;
  view_request.set_snapshotter("sluice");
  view_request.set_key("view");
  view_request.set_parent("name");
  snapshots_v1::ViewSnapshotResponse view;
  ASSERT_TRUE(Call(&snapshots_v1::Snapshots::Stub::View, view_request, &view).ok());
  EXPECT_EQ(view.mounts(0).options(0), "ro");
  ASSERT_TRUE(Stat("view", &stat).ok());
  EXPECT_EQ(stat.info().kind(), snapshots_v1::VIEW);
  EXPECT_EQ(stat.info().parent(), "name");

  snapshots_v1::UpdateSnapshotRequest update;
  update.set_snapshotter("sluice");
  update.mutable_info()->set_name("name");
  (*update.mutable_info()->mutable_labels())["a"] = "b";
  update.mutable_update_mask()->add_paths("labels.a");
  snapshots_v1::UpdateSnapshotResponse updated;
  ASSERT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Update, update, &updated).ok());
  EXPECT_EQ(updated.info().labels().at("a"), "b");

  snapshots_v1::UsageRequest usage_request;
  usage_request.set_snapshotter("sluice");
  usage_request.set_key("name");
  snapshots_v1::UsageResponse usage;
  ASSERT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Usage, usage_request, &usage).ok());
  EXPECT_EQ(usage.inodes(), 1);

  google::protobuf::Empty empty;
  for (const char* key : {"view", "name"}) {
    snapshots_v1::RemoveSnapshotRequest remove;
    remove.set_snapshotter("sluice");
    remove.set_key(key);
    ASSERT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Remove, remove, &empty).ok());
  }
  snapshots_v1::CleanupRequest cleanup;
  ASSERT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Cleanup, cleanup, &empty).ok());
  EXPECT_TRUE(std::filesystem::is_empty(snapshotter_.Path("trash")));
}

TEST_F(ServerTest, ListComesInBatchesOf100AndLetsOthersCallMeanwhile) {
  for (int i = 0; i < 250; ++i) ASSERT_TRUE(Prepare("k" + std::to_string(i)).ok());
  snapshots_v1::ListSnapshotsRequest request;
  request.set_snapshotter("sluice");
  grpc::ClientContext context;
  const auto stream = stub_->List(&context, request);
  snapshots_v1::ListSnapshotsResponse batch;
  std::vector<int> sizes;
  while (stream->Read(&batch)) {
    sizes.push_back(batch.info_size());
    snapshots_v1::StatSnapshotResponse stat;
    ASSERT_TRUE(Stat(batch.info(0).name(), &stat).ok());
    EXPECT_EQ(stat.info().SerializeAsString(), batch.info(0).SerializeAsString());
    ASSERT_TRUE(Prepare("during" + std::to_string(sizes.size())).ok());
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(sizes, (std::vector<int>{100, 100, 50}));
}

TEST_F(ServerTest, ListOfManyLabelsIsNoLargeMessage) {
  for (int i = 0; i < 100; ++i) {
    Labels labels;
    for (int j = 0; j < 20; ++j) labels[absl::StrCat(j)] = std::string(4000, 'v');
    ASSERT_OK(snapshotter_.Prepare(absl::StrCat(i), "", labels));
  }
  snapshots_v1::ListSnapshotsRequest request;
  request.set_snapshotter("sluice");
  grpc::ClientContext context;
  const auto stream = stub_->List(&context, request);
  snapshots_v1::ListSnapshotsResponse batch;
  int count = 0;
  for (; stream->Read(&batch); count += batch.info_size()) EXPECT_LT(batch.ByteSizeLong(), 2u << 20);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(count, 100);
}

TEST_F(ServerTest, WhatIsReadWaitsForNoPool) {
  ASSERT_TRUE(Prepare("key").ok());
  ASSERT_TRUE(Prepare("layer").ok());
  ASSERT_TRUE(Commit("base", "layer").ok());
  std::promise<void> free;
  const std::shared_future<void> freed = free.get_future().share();
  for (WorkerPool* pool : {&quick_, &quick_, &walks_, &cleanup_}) pool->Submit([freed] { freed.wait(); });

  snapshots_v1::StatSnapshotResponse stat;
  EXPECT_TRUE(Stat("key", &stat).ok());
  snapshots_v1::MountsRequest mounts_request;
  mounts_request.set_snapshotter("sluice");
  mounts_request.set_key("key");
  snapshots_v1::MountsResponse mounts;
  EXPECT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Mounts, mounts_request, &mounts).ok());
  EXPECT_EQ(mounts.mounts_size(), 1);
  // A small layer was counted in its Commit, so there is nothing to walk.
  snapshots_v1::UsageRequest usage_request;
  usage_request.set_snapshotter("sluice");
  usage_request.set_key("base");
  snapshots_v1::UsageResponse usage;
  EXPECT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Usage, usage_request, &usage).ok());
  EXPECT_EQ(usage.inodes(), 1);
  free.set_value();
}

TEST_F(ServerTest, AnEmptyListAndABadFilter) {
  for (const char* filter : {"", "=="}) {
    snapshots_v1::ListSnapshotsRequest request;
    request.add_filters(filter);
    grpc::ClientContext context;
    const auto stream = stub_->List(&context, request);
    snapshots_v1::ListSnapshotsResponse batch;
    EXPECT_FALSE(stream->Read(&batch));
    EXPECT_EQ(stream->Finish().error_code(), *filter == '\0' ? StatusCode::OK : StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(ServerTest, ErrorsKeepCodeAndText) {
  snapshots_v1::StatSnapshotResponse stat;
  const grpc::Status status = Stat("none", &stat);
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "stat: snapshot none: not found");
  ASSERT_TRUE(Prepare("key").ok());
  EXPECT_EQ(Commit("name", "key", "parent").error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, TheNamespaceHeaderMustAgreeWithTheKey) {
  EXPECT_TRUE(Prepare("default/1/a", "", "default").ok());
  EXPECT_TRUE(Prepare("default/2/b").ok());
  const grpc::Status status = Prepare("default/3/c", "", "k8s.io");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("another namespace"));
}

TEST_F(ServerTest, AClientThatGoesAwayEndsItsPrepare) {
  grpc::ClientContext context;
  std::future<grpc::Status> pending = PrepareForever(context);
  context.TryCancel();
  EXPECT_EQ(pending.get().error_code(), StatusCode::CANCELLED);
  snapshots_v1::StatSnapshotResponse stat;
  EXPECT_EQ(Stat("waiting", &stat).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, StopAnswersUnavailableSoonAndTakesTheSocketAway) {
  grpc::ClientContext context;
  std::future<grpc::Status> pending = PrepareForever(context);
  const absl::Time start = absl::Now();
  server_->Stop(absl::Seconds(30));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_EQ(pending.get().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(std::filesystem::exists(path_));
  snapshots_v1::StatSnapshotResponse stat;
  EXPECT_EQ(Stat("waiting", &stat).error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, HealthSaysWhetherCallsAreAdmitted) {
  const std::vector<std::string> names = {"", kSnapshotsName, kDiffName};
  for (const std::string& name : names) EXPECT_EQ(Health(name), "SERVING") << name;
  EXPECT_EQ(Health("sluice.v1.Admin"), "NOT_FOUND") << "it is not served here";
  service_->Refuse(absl::FailedPreconditionError("another containerd"));
  for (const std::string& name : names) EXPECT_EQ(Health(name), "NOT_SERVING") << name;
  service_->Refuse(absl::OkStatus());
  for (const std::string& name : names) EXPECT_EQ(Health(name), "SERVING") << name;
}

TEST_F(ServerTest, HealthIsNotServingBeforeTheServerIsGone) {
  grpc::ClientContext context;
  health_v1::HealthCheckRequest request;
  request.set_service(kSnapshotsName);
  const auto watch = health_->Watch(&context, request);
  health_v1::HealthCheckResponse seen;
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.status(), health_v1::HealthCheckResponse::SERVING);
  const absl::Time start = absl::Now();
  std::thread stop([this] { server_->Stop(absl::Seconds(1)); });
  EXPECT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.status(), health_v1::HealthCheckResponse::NOT_SERVING);
  stop.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10)) << "a client that watches does not hold the end up";
}

TEST_F(ServerTest, EveryCallIsCounted) {
  ASSERT_TRUE(Prepare("key").ok());
  EXPECT_EQ(Prepare("key").error_code(), StatusCode::ALREADY_EXISTS);
  snapshots_v1::StatSnapshotResponse stat;
  EXPECT_EQ(Stat("nobody", &stat).error_code(), StatusCode::NOT_FOUND);
  grpc::ClientContext list_context;
  snapshots_v1::ListSnapshotsRequest list_request;
  list_request.set_snapshotter("sluice");
  const auto list = stub_->List(&list_context, list_request);
  snapshots_v1::ListSnapshotsResponse batch;
  while (list->Read(&batch)) {
  }
  ASSERT_TRUE(list->Finish().ok());
  grpc::ClientContext context;
  std::future<grpc::Status> pending = PrepareForever(context);
  EXPECT_EQ(prepares_.InFlight(), 1);
  context.TryCancel();
  pending.wait();
  EXPECT_EQ(Health(""), "SERVING");

  const auto ended = [this] {
    std::vector<std::string> lines;
    for (const RpcCount& call : rpcs_.Calls()) {
      lines.push_back(absl::StrCat(call.method, " ", call.code, " ", call.seconds.Count()));
    }
    return lines;
  };
  // Whose answer has gone out may not be counted yet.
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  while (ended().size() < 6 && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(ended(), ::testing::ElementsAre("Health/Check OK 1", "Snapshots/List OK 1", "Snapshots/Prepare OK 1",
                                              "Snapshots/Prepare CANCELLED 1", "Snapshots/Prepare ALREADY_EXISTS 1",
                                              "Snapshots/Stat NOT_FOUND 1"));
  EXPECT_EQ(prepares_.InFlight(), 0);
  std::vector<std::string> prepares;
  for (const PrepareCount& count : prepares_.Prepares()) {
    prepares.push_back(absl::StrCat(count.strategy, " ", PrepareOutcomeName(count.outcome), " ", count.count));
  }
  EXPECT_THAT(prepares, ::testing::ElementsAre("none mounts 1", "none cancelled 1", "none failed 1"));
}

TEST_F(ServerTest, RefusesEveryCallForAsLongAsItIsTold) {
  ASSERT_TRUE(Prepare("before").ok());
  EXPECT_TRUE(service_->Refuse(absl::FailedPreconditionError("another containerd")));
  EXPECT_FALSE(service_->Refuse(absl::FailedPreconditionError("another containerd")));
  snapshots_v1::StatSnapshotResponse stat;
  for (const grpc::Status& status : {Prepare("key"), Stat("before", &stat), Commit("name", "before")}) {
    EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(status.error_message(), "another containerd");
  }
  grpc::ClientContext context;
  const auto stream = stub_->List(&context, snapshots_v1::ListSnapshotsRequest());
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(service_->Refuse(absl::OkStatus()));
  EXPECT_TRUE(Stat("before", &stat).ok());
}

TEST_F(ServerTest, AnUnknownFieldOrALargeMessageIsNoTrouble) {
  snapshots_v1::PrepareSnapshotRequest request;
  request.set_snapshotter("sluice");
  request.set_key("large");
  for (int i = 0; i < 1500; ++i) {
    (*request.mutable_labels())["containerd.io/snapshot/" + std::to_string(i)] = std::string(4000, 'v');
  }
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(99, 1);
  ASSERT_GT(request.ByteSizeLong(), 5u << 20);  // more than gRPC's default
  snapshots_v1::PrepareSnapshotResponse response;
  EXPECT_TRUE(Call(&snapshots_v1::Snapshots::Stub::Prepare, request, &response).ok());
  EXPECT_EQ(snapshotter_->Stat("sluice", "large")->labels.size(), 1500u);
}

}  // namespace
}  // namespace sluice
