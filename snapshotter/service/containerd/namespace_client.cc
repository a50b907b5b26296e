#include "snapshotter/service/containerd/namespace_client.h"

#include "base/status_macros.h"
#include "containerd/services/namespaces/v1/namespace.grpc.pb.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {

namespace namespaces_v1 = containerd::services::namespaces::v1;

absl::StatusOr<std::vector<std::string>> ListNamespaces(const std::shared_ptr<grpc::Channel>& channel,
                                                        absl::Time deadline) {
  const auto stub = namespaces_v1::Namespaces::NewStub(channel);
  grpc::ClientContext context;
  PrepareCall(context, "default", deadline);
  namespaces_v1::ListNamespacesResponse response;
  RETURN_IF_ERROR(
      FromGrpcStatus(stub->List(&context, namespaces_v1::ListNamespacesRequest(), &response), "list namespaces"));
  std::vector<std::string> names;
  for (const namespaces_v1::Namespace& listed : response.namespaces()) names.push_back(listed.name());
  return names;
}

}  // namespace sluice
