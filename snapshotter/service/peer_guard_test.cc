#include "snapshotter/service/peer_guard.h"

#include "absl/time/clock.h"
#include "containerd/services/introspection/v1/introspection.grpc.pb.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

namespace introspection_v1 = containerd::services::introspection::v1;

// A containerd that only says who it is.
class Introspection final : public introspection_v1::Introspection::Service {
 public:
  Introspection(const std::string& socket, std::string uuid) : uuid_(std::move(uuid)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  grpc::Status Server(grpc::ServerContext*, const google::protobuf::Empty*,
                      introspection_v1::ServerResponse* response) override {
    response->set_uuid(uuid_);
    return grpc::Status::OK;
  }

 private:
  const std::string uuid_;
  std::unique_ptr<grpc::Server> server_;
};

class PeerGuardTest : public ::testing::Test {
 protected:
  PeerGuardTest() : quick_(1), service_({&*snapshotter_, &quick_, &quick_, &quick_}) {}

  std::optional<std::string> StoredUuid() {
    std::optional<std::string> uuid;
    EXPECT_OK(snapshotter_.metadata().Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(uuid, reader.Meta("containerd_uuid"));
      return absl::OkStatus();
    }));
    return uuid;
  }
  PeerGuard Guard() {
    return PeerGuard(OpenContainerdChannel(socket_), snapshotter_.metadata(), service_, {socket_, "/the/root"});
  }

  testing::TempDir dir_;
  const std::string socket_ = dir_.At("containerd.sock");
  testing::SnapshotterFixture snapshotter_;
  WorkerPool quick_;
  SnapshotsService service_;
};

TEST_F(PeerGuardTest, TheFirstThatAnswersIsRemembered) {
  const PeerGuard guard = Guard();
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(StoredUuid(), std::nullopt);
  const Introspection containerd(socket_, "one");
  while (!StoredUuid().has_value()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(StoredUuid(), "one");
  EXPECT_OK(service_.Admission());
}

TEST_F(PeerGuardTest, AnotherIsRefused) {
  ASSERT_OK(
      snapshotter_.metadata().Write([](MetadataWriter& writer) { return writer.SetMeta("containerd_uuid", "one"); }));
  const Introspection containerd(socket_, "two");
  const PeerGuard guard = Guard();
  const absl::Status want = absl::FailedPreconditionError(
      "containerd at " + socket_ +
      " has UUID two, but /the/root belongs to the one with UUID one: run a containerd-sluice-grpc with a root and a "
      "socket of its own for each containerd");
  while (service_.Admission().ok()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(service_.Admission(), want);
  EXPECT_EQ(StoredUuid(), "one");
}

}  // namespace
}  // namespace sluice
