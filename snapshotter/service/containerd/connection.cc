#include "snapshotter/service/containerd/connection.h"

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace sluice {

std::shared_ptr<grpc::Channel> OpenContainerdChannel(const std::string& socket_path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxContainerdMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxContainerdMessageBytes);
  // gRPC's default is to try again only after up to two minutes. Trying a socket on this host costs next to nothing.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 250);
  // In spite of its name, how long containerd may take to greet: longer than 100 ms where all processors are busy.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  // Go's HTTP/2 server refuses the escaped socket path that would stand here otherwise.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(), arguments);
}

void PrepareCall(grpc::ClientContext& context, const std::string& containerd_namespace, absl::Time deadline,
                 const std::string& lease_id) {
  context.AddMetadata("containerd-namespace", containerd_namespace);
  if (!lease_id.empty()) context.AddMetadata("containerd-lease", lease_id);
  if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
}

absl::Status FromGrpcStatus(const grpc::Status& status, absl::string_view operation) {
  if (status.ok()) return absl::OkStatus();
  // absl and gRPC share the numbers of their codes.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("containerd: ", operation, ": ", status.error_message()));
}

}  // namespace sluice
