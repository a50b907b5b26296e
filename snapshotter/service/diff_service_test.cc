// The service over a socket: what containerd sees of each call; and with a real containerd as the content store.
#include "snapshotter/service/diff_service.h"

#include <filesystem>
#include <future>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/applier_fixture.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/containerd/content_writer.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "snapshotter/service/server.h"
#include "tests/testing/compress.h"
#include "tests/testing/private_containerd.h"
#include "tests/testing/random.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using grpc::StatusCode;
using testing::Gzip;
using ::testing::HasSubstr;
using testing::TarBuilder;
using Mounts = std::vector<Mount>;

constexpr char kGzipLayer[] = "application/vnd.oci.image.layer.v1.tar+gzip";

std::string SmallTar() { return TarBuilder().Directory("d").File("d/f", "text").Build(); }

class DiffServiceTest : public ::testing::Test {
 protected:
  explicit DiffServiceTest(ContentStore* content = nullptr) : applier_({.workers = 2}, content) {
    server_ = Server::Start(SocketClaim::Take(path_).value(), {&snapshots_, &diff_}).value();
    stub_ = diff_v1::Diff::NewStub(grpc::CreateChannel("unix:" + path_, grpc::InsecureChannelCredentials()));
  }
  ~DiffServiceTest() override { server_->Stop(absl::Seconds(1)); }

  Mounts Prepare(const std::string& key, const std::string& parent = "") {
    absl::StatusOr<Mounts> mounts = applier_.snapshotter().Prepare(key, parent);
    EXPECT_OK(mounts);
    return mounts.ok() ? *mounts : Mounts();
  }

  static diff_v1::ApplyRequest Request(const std::string& blob, const Mounts& mounts) {
    diff_v1::ApplyRequest request;
    request.mutable_diff()->set_media_type(kGzipLayer);
    request.mutable_diff()->set_digest(Digest::Of(blob).ToString());
    request.mutable_diff()->set_size(static_cast<int64_t>(blob.size()));
    for (const Mount& mount : mounts) {
      containerd::types::Mount& message = *request.add_mounts();
      message.set_type(mount.type);
      message.set_source(mount.source);
      for (const std::string& option : mount.options) message.add_options(option);
    }
    return request;
  }
  static diff_v1::ApplyRequest ForeignRequest() {
    return Request("blob", {{"bind", "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs", {}}});
  }
  grpc::Status Apply(const diff_v1::ApplyRequest& request, const std::string& header = "default") {
    grpc::ClientContext context;
    if (!header.empty()) context.AddMetadata("containerd-namespace", header);
    applied_.Clear();
    return stub_->Apply(&context, request, &applied_);
  }
  // An Apply whose blob stands still.
  std::future<grpc::Status> ApplyForever(grpc::ClientContext& context, const Mounts& mounts) {
    const std::string blob = Gzip(SmallTar());
    applier_.blobs().Put(blob);
    applier_.blobs().StopAfter(20);
    context.AddMetadata("containerd-namespace", "default");
    auto pending = std::async(std::launch::async, [this, &context, request = Request(blob, mounts)] {
      diff_v1::ApplyResponse response;
      return stub_->Apply(&context, request, &response);
    });
    applier_.blobs().AwaitStopped(1);
    return pending;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.At("s.sock");
  testing::ApplierFixture applier_;
  WorkerPool quick_{2};
  WorkerPool walks_{1};
  WorkerPool cleanup_{1};
  SnapshotsService snapshots_{ServiceParts{&*applier_.snapshotter(), &quick_, &walks_, &cleanup_, &quick_}};
  DiffService diff_{*applier_, snapshots_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<diff_v1::Diff::Stub> stub_;
  diff_v1::ApplyResponse applied_;
};

TEST_F(DiffServiceTest, AnswersWithTheUncompressedTar) {
  const std::string tar = SmallTar() + "trailing";
  const std::string blob = Gzip(tar);
  applier_.blobs().Put(blob);
  const Mounts mounts = Prepare("default/1/extract-1 sha256:aa");
  diff_v1::ApplyRequest request = Request(blob, mounts);
  (*request.mutable_payloads())["io.containerd.ocicrypt.decoder.v1.tar.gzip"].set_value("keys");
  request.set_sync_fs(true);
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(99, 1);
  const grpc::Status status = Apply(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(applied_.applied().media_type(), "application/vnd.oci.image.layer.v1.tar");
  EXPECT_EQ(applied_.applied().digest(), Digest::Of(tar).ToString());
  EXPECT_EQ(applied_.applied().size(), static_cast<int64_t>(tar.size()));
  EXPECT_TRUE(std::filesystem::exists(mounts[0].source + "/d/f"));
}

TEST_F(DiffServiceTest, ErrorsKeepCodeAndText) {
  const std::string blob = Gzip(SmallTar());
  const Mounts mounts = Prepare("key");
  const diff_v1::ApplyRequest good = Request(blob, mounts);

  grpc::Status status = Apply(good);
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("layer " + Digest::Of(blob).Short()));
  applier_.blobs().Put(blob);
  EXPECT_EQ(Apply(good, "k8s.io").error_code(), StatusCode::NOT_FOUND) << "the header says whose content";

  diff_v1::ApplyRequest request = good;
  request.mutable_diff()->set_size(7);
  EXPECT_EQ(Apply(request).error_code(), StatusCode::DATA_LOSS);
  request = good;
  request.mutable_mounts(0)->set_target("below");
  EXPECT_EQ(Apply(request).error_code(), StatusCode::UNIMPLEMENTED);
  request = good;
  (*request.mutable_payloads())["io.example"].set_value("x");
  EXPECT_EQ(Apply(request).error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Apply({}).error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(Apply(good).ok());
}

TEST_F(DiffServiceTest, ComparesNothing) {
  grpc::ClientContext context;
  diff_v1::DiffResponse response;
  const grpc::Status status = stub_->Diff(&context, {}, &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("containerd's own differ"));
}

TEST_F(DiffServiceTest, OthersLayersWaitForNothing) {
  grpc::ClientContext context;
  std::future<grpc::Status> pending = ApplyForever(context, Prepare("key"));
  std::promise<void> gate;
  applier_.quick().Submit([&] { gate.get_future().wait(); });
  EXPECT_EQ(Apply(ForeignRequest()).error_code(), StatusCode::UNIMPLEMENTED);
  snapshots_.Refuse(absl::FailedPreconditionError("another containerd"));
  EXPECT_EQ(Apply(ForeignRequest()).error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Apply(Request("blob", Prepare("other"))).error_code(), StatusCode::FAILED_PRECONDITION);
  gate.set_value();
  applier_.blobs().Release();
  EXPECT_TRUE(pending.get().ok());
}

TEST_F(DiffServiceTest, WaitingCallsHoldNoThreadOfTheServer) {
  const std::string blob = Gzip(SmallTar());
  applier_.blobs().Put(blob);
  applier_.blobs().StopAfter(20);
  constexpr int kCalls = 200;
  std::vector<std::future<grpc::Status>> pending;
  for (int i = 0; i < kCalls; ++i) {
    pending.push_back(std::async(std::launch::async, [this, request = Request(blob, Prepare(absl::StrCat("k", i)))] {
      grpc::ClientContext context;
      context.AddMetadata("containerd-namespace", "default");
      diff_v1::ApplyResponse response;
      return stub_->Apply(&context, request, &response);
    }));
  }
  applier_.blobs().AwaitStopped(2);
  EXPECT_EQ(Apply(ForeignRequest()).error_code(), StatusCode::UNIMPLEMENTED);
  applier_.blobs().Release();
  for (std::future<grpc::Status>& status : pending) EXPECT_TRUE(status.get().ok());
}

TEST_F(DiffServiceTest, AClientThatGoesAwayEndsItsApply) {
  grpc::ClientContext context;
  const Mounts mounts = Prepare("key");
  std::future<grpc::Status> pending = ApplyForever(context, mounts);
  context.TryCancel();
  EXPECT_EQ(pending.get().error_code(), StatusCode::CANCELLED);
  // The client does not wait for the server.
  while (applier_.leftovers() > 0) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(std::filesystem::is_empty(mounts[0].source));
}

TEST_F(DiffServiceTest, StopAnswersUnavailable) {
  grpc::ClientContext context;
  const Mounts mounts = Prepare("key");
  std::future<grpc::Status> pending = ApplyForever(context, mounts);
  server_->Stop(absl::Seconds(30));
  EXPECT_EQ(pending.get().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(std::filesystem::is_empty(mounts[0].source));
  EXPECT_EQ(applier_.leftovers(), 0);
}

// containerd's own content store, made before the service that reads it.
class RealContentStore {
 protected:
  Digest Put(const std::string& blob) {
    ContentWriter writer(session_);
    const Digest digest = Digest::Of(blob);
    EXPECT_OK(writer.WriteDocument(digest, blob, {}));
    return digest;
  }

  testing::PrivateContainerd containerd_;
  std::shared_ptr<grpc::Channel> channel_ = OpenContainerdChannel(containerd_.socket_path());
  Cancellation cancellation_;
  ContainerdSession session_{channel_, "k8s.io", cancellation_};
  ContentStoreClient content_{channel_};
};

class DiffServiceContainerdTest : protected RealContentStore, public DiffServiceTest {
 protected:
  DiffServiceContainerdTest() : DiffServiceTest(&content_) {}
};

TEST_F(DiffServiceContainerdTest, AppliesAChainOutOfItsContentStore) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  // More than one message, and random, so that the blob is no smaller than the tar.
  std::string content(size_t{20} << 20, '\0');
  testing::Random random(1);
  for (char& byte : content) byte = static_cast<char>(random.Below(256));
  const std::string tars[] = {TarBuilder().Directory("d", {.uid = 7}).File("d/big", content).Build(),
                              TarBuilder().File("d/small", "small").HardLink("link", "d/big").Build()};
  std::string parent;
  for (int i = 0; i < 2; ++i) {
    const std::string blob = Gzip(tars[i], {.level = 1});
    Put(blob);
    const Mounts mounts = Prepare(absl::StrCat("key", i), parent);
    const grpc::Status status = Apply(Request(blob, mounts), "k8s.io");
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(applied_.applied().digest(), Digest::Of(tars[i]).ToString());
    EXPECT_EQ(applied_.applied().size(), static_cast<int64_t>(tars[i].size()));
    parent = absl::StrCat("layer", i);
    ASSERT_OK(applier_.snapshotter()->Commit("sluice", parent, absl::StrCat("key", i), {}));
  }
  EXPECT_EQ(std::filesystem::file_size(applier_.snapshotter().Path("snapshots/2/fs/link")), content.size());
}

TEST_F(DiffServiceContainerdTest, SaysWhatContainerdSays) {
  ASSERT_OK_AND_ASSIGN(Lease lease, Lease::Take(session_));
  const std::string blob = Gzip(SmallTar());
  const Mounts mounts = Prepare("k8s.io/1/key");
  EXPECT_EQ(Apply(Request(blob, mounts), "k8s.io").error_code(), StatusCode::NOT_FOUND);
  Put(blob);
  EXPECT_EQ(Apply(Request(blob, mounts), "default").error_code(), StatusCode::NOT_FOUND) << "of another namespace";
  containerd_.Stop();
  EXPECT_EQ(Apply(Request(blob, mounts), "k8s.io").error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(Apply(ForeignRequest()).error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(std::filesystem::is_empty(mounts[0].source));
  EXPECT_EQ(applier_.leftovers(), 0);
  containerd_.Start();
  // Without the header, as Debian's containerd leaves it out: the key says whose content it is. The channel tries again
  // four times a second.
  grpc::Status status = Apply(Request(blob, mounts), "");
  while (status.error_code() == StatusCode::UNAVAILABLE) {
    absl::SleepFor(absl::Milliseconds(50));
    status = Apply(Request(blob, mounts), "");
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace sluice
