#include "snapshotter/service/server.h"

#include <chrono>
#include <initializer_list>
#include <utility>
#include <vector>

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

Server::Behind Server::Build(grpc::ServerBuilder& builder) {
  using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  Behind behind;
  behind.door = builder.experimental().AddExternalConnectionAcceptor(Type::FROM_FD, grpc::InsecureServerCredentials());
  behind.server = builder.BuildAndStart();
  return behind;
}

Server::Server(std::unique_ptr<SocketClaim> claim, const ServedServices& services, std::string refusal)
    : claim_(std::move(claim)), services_(services), refusal_(std::move(refusal)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(std::unique_ptr<SocketClaim> claim,
                                                      const ServedServices& services, PeerPolicy policy) {
  const std::string address = absl::StrCat("address: ", claim->path());
  auto server = std::unique_ptr<Server>(new Server(std::move(claim), services, std::move(policy.refusal)));
  if (const absl::Status status = server->Open(std::move(policy.judge)); !status.ok()) {
    return Annotate(status, address);
  }
  return server;
}

absl::Status Server::Open(std::function<Peer(pid_t)> judge) {
  serving_ = BuildServing();
  refusing_ = BuildRefusing();
  if (serving_.server == nullptr || refusing_.server == nullptr) return absl::UnavailableError("gRPC does not start");
  FollowAdmission();
  // Nobody can connect before there is somebody to answer.
  ASSIGN_OR_RETURN(UniqueFd listening, claim_->Listen());
  ASSIGN_OR_RETURN(gate_, ConnectionGate::Open(
                              std::move(listening),
                              {std::move(judge), [this](UniqueFd connection) { Give(serving_, std::move(connection)); },
                               [this](UniqueFd connection) { Give(refusing_, std::move(connection)); }}));
  return absl::OkStatus();
}

void Server::Give(const Behind& behind, UniqueFd connection) {
  Door::NewConnectionParameters parameters;
  parameters.fd = connection.Release();
  behind.door->HandleNewConnection(&parameters);
}

Server::Behind Server::BuildServing() const {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // A socket on this host has no bandwidth to be found out, by a ping and its answer for each call.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  for (grpc::Service* service :
       std::initializer_list<grpc::Service*>{services_.snapshots, services_.diff, services_.admin}) {
    if (service != nullptr) builder.RegisterService(service);
  }
  if (services_.rpcs != nullptr) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> observers;
    observers.push_back(RpcObserver(*services_.rpcs));
    builder.experimental().SetInterceptorCreators(std::move(observers));
  }
  return Build(builder);
}

Server::Behind Server::BuildRefusing() {
  grpc::EnableDefaultHealthCheckService(false);
  grpc::ServerBuilder builder;
  builder.RegisterCallbackGenericService(&refusal_);
  return Build(builder);
}

void Server::FollowAdmission() {
  grpc::HealthCheckServiceInterface* const health = serving_.server->GetHealthCheckService();
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
  if (serving_.server == nullptr) return;
  serving_.server->GetHealthCheckService()->Shutdown();
  if (services_.snapshots != nullptr) {
    services_.snapshots->SetAdmissionListener(nullptr);
    services_.snapshots->Drain();
  }
  if (services_.diff != nullptr) services_.diff->Drain();
  gate_.reset();
  if (refusing_.server != nullptr) refusing_.server->Shutdown(std::chrono::system_clock::now());
  serving_.server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(limit));
  refusing_ = {};
  serving_ = {};
  claim_.reset();
}

}  // namespace sluice
