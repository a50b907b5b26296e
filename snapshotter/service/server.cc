#include "snapshotter/service/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "sluice/v1/admin.grpc.pb.h"

namespace sluice {
namespace {

// containerd's own limit in both directions (defaults.DefaultMaxRecvMsgSize).
constexpr int kMaxMessageBytes = 16 << 20;

namespace admin_v1 = sluice::v1;

}  // namespace

Server::Server(std::unique_ptr<SocketClaim> claim, const ServedServices& services, std::unique_ptr<grpc::Server> server)
    : claim_(std::move(claim)), services_(services), server_(std::move(server)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(std::unique_ptr<SocketClaim> claim,
                                                      const ServedServices& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(absl::StrCat("unix:", claim->temporary_path()), grpc::InsecureServerCredentials(), &bound);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  for (grpc::Service* service :
       std::initializer_list<grpc::Service*>{services.snapshots, services.diff, services.admin}) {
    if (service != nullptr) builder.RegisterService(service);
  }

  if (services.rpcs != nullptr) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> observers;
    observers.push_back(RpcObserver(*services.rpcs));
    builder.experimental().SetInterceptorCreators(std::move(observers));
  }

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
  auto started = std::unique_ptr<Server>(new Server(std::move(claim), services, std::move(server)));
  started->FollowAdmission();
  return started;
}

void Server::FollowAdmission() {
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  if (services_.admin != nullptr) health->SetServingStatus(admin_v1::Admin::service_full_name(), true);
  if (services_.snapshots == nullptr) return;
  services_.snapshots->SetAdmissionListener([health, has_diff = services_.diff != nullptr](bool admitted) {
    health->SetServingStatus("", admitted);
    health->SetServingStatus(snapshots_v1::Snapshots::service_full_name(), admitted);
    if (has_diff) health->SetServingStatus(diff_v1::Diff::service_full_name(), admitted);
  });
}

Server::~Server() { Stop(absl::ZeroDuration()); }

void Server::Stop(absl::Duration limit) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->Shutdown();
  if (services_.snapshots != nullptr) {
    services_.snapshots->SetAdmissionListener(nullptr);
    services_.snapshots->Drain();
  }
  if (services_.diff != nullptr) services_.diff->Drain();
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(limit));
  server_.reset();
  claim_.reset();
}

}  // namespace sluice
