#include "snapshotter/service/containerd/identity.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "containerd/services/introspection/v1/introspection.grpc.pb.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {

namespace introspection_v1 = containerd::services::introspection::v1;

absl::StatusOr<std::string> ReadContainerdUuid(const std::shared_ptr<grpc::Channel>& channel, absl::Time deadline) {
  const auto introspection = introspection_v1::Introspection::NewStub(channel);
  grpc::ClientContext context;
  PrepareCall(context, "default", deadline);
  introspection_v1::ServerResponse response;
  RETURN_IF_ERROR(
      FromGrpcStatus(introspection->Server(&context, google::protobuf::Empty(), &response), "read the server's UUID"));
  if (response.uuid().empty()) return absl::InternalError("containerd: read the server's UUID: it is empty");
  return response.uuid();
}

absl::Status CheckContainerdUuid(const std::string& uuid, const std::string& known, const std::string& address,
                                 const std::string& root) {
  if (known.empty() || uuid == known) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("containerd at ", address, " has UUID ", uuid, ", but ", root, " belongs to the one with UUID ",
                   known, ": run a containerd-sluice-grpc with a root and a socket of its own for each containerd"));
}

}  // namespace sluice
