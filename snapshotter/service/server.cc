#include "snapshotter/service/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace sluice {
namespace {

// containerd's own limit in both directions (defaults.DefaultMaxRecvMsgSize).
constexpr int kMaxMessageBytes = 16 << 20;

}  // namespace

Server::Server(std::unique_ptr<SocketClaim> claim, SnapshotsService& service, std::unique_ptr<grpc::Server> server)
    : claim_(std::move(claim)), service_(service), server_(std::move(server)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(std::unique_ptr<SocketClaim> claim, SnapshotsService& service,
                                                      absl::Span<grpc::Service* const> others) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(absl::StrCat("unix:", claim->temporary_path()), grpc::InsecureServerCredentials(), &bound);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  builder.RegisterService(&service);
  for (grpc::Service* other : others) builder.RegisterService(other);

  // From its first moment nobody but root may connect.
  const mode_t before = umask(0177);
  const absl::Cleanup restore = [before] { umask(before); };
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound == 0) {
    return absl::UnavailableError(absl::StrCat("address: ", claim->path(), ": can't listen"));
  }
  if (absl::Status status = claim->Publish(); !status.ok()) {
    server->Shutdown();
    return Annotate(status, absl::StrCat("address: ", claim->path()));
  }
  return std::unique_ptr<Server>(new Server(std::move(claim), service, std::move(server)));
}

Server::~Server() { Stop(absl::ZeroDuration()); }

void Server::Stop(absl::Duration limit) {
  if (server_ == nullptr) return;
  service_.Drain();
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(limit));
  server_.reset();
  claim_.reset();
}

}  // namespace sluice
