#include "cmd/admin_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/unix_socket.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {
namespace {

// Pruning waits for the deletion, which the daemon bounds.
constexpr absl::Duration kCallLimit = absl::Seconds(10);
constexpr absl::Duration kPruneLimit = absl::Minutes(2);

absl::Status NotServed(const SocketProbe& probe) {
  switch (probe.state) {
    case SocketState::kServed:
      break;
    case SocketState::kMissing:
      return absl::UnavailableError("no socket there: containerd-sluice-grpc does not run, or with another --address");
    case SocketState::kStale:
      return absl::UnavailableError("nobody listens there any more: containerd-sluice-grpc has ended");
    case SocketState::kNoAccess:
      return absl::PermissionDeniedError("only root may connect");
    case SocketState::kNoSocket:
      return absl::FailedPreconditionError("is no socket");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AdminClient::Connect() {
  if (absl::Status served = NotServed(ProbeSocket(address_)); !served.ok()) {
    return Annotate(served, absl::StrCat("daemon: ", address_));
  }
  if (stub_ == nullptr) {
    channel_ = OpenContainerdChannel(address_);
    stub_ = admin_v1::Admin::NewStub(channel_);
  }
  return absl::OkStatus();
}

template <typename Method, typename Request, typename Response>
absl::Status AdminClient::Call(Method method, const Request& request, Response& response) {
  RETURN_IF_ERROR(Connect());
  ContainerdSession session(channel_, "default", cancellation_);
  ContainerdCall call(session);
  // Somebody listens; a busy machine may need more than one attempt to connect.
  call.context()->set_wait_for_ready(true);
  const bool prunes = std::is_same_v<Request, admin_v1::PruneLayersRequest>;
  call.context()->set_deadline(absl::ToChronoTime(absl::Now() + (prunes ? kPruneLimit : kCallLimit)));
  const grpc::Status status = ((*stub_).*method)(call.context(), request, &response);
  if (status.ok()) return absl::OkStatus();
  RETURN_IF_ERROR(cancellation_.Check());
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return absl::UnimplementedError(
        absl::StrCat("daemon: ", address_, ": what serves there is no containerd-sluice-grpc, or an older one"));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("daemon: ", address_, ": ", status.error_message()));
}

absl::StatusOr<admin_v1::StatusResponse> AdminClient::Status() {
  admin_v1::StatusResponse response;
  RETURN_IF_ERROR(Call(&admin_v1::Admin::Stub::Status, admin_v1::StatusRequest(), response));
  return response;
}

absl::StatusOr<std::vector<admin_v1::Layer>> AdminClient::Layers() {
  std::vector<admin_v1::Layer> layers;
  admin_v1::ListLayersRequest request;
  while (true) {
    admin_v1::ListLayersResponse page;
    RETURN_IF_ERROR(Call(&admin_v1::Admin::Stub::ListLayers, request, page));
    layers.insert(layers.end(), page.layers().begin(), page.layers().end());
    if (!page.has_more() || page.layers().empty()) return layers;
    request.set_after_id(layers.back().id());
  }
}

absl::StatusOr<admin_v1::PruneLayersResponse> AdminClient::PruneLayers() {
  admin_v1::PruneLayersResponse response;
  RETURN_IF_ERROR(Call(&admin_v1::Admin::Stub::PruneLayers, admin_v1::PruneLayersRequest(), response));
  return response;
}

}  // namespace sluice
