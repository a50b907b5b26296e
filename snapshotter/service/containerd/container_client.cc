#include "snapshotter/service/containerd/container_client.h"

#include <utility>

#include "base/status_macros.h"
#include "containerd/services/containers/v1/containers.grpc.pb.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {

namespace containers_v1 = containerd::services::containers::v1;

absl::StatusOr<std::vector<ContainerRecord>> ListContainers(ContainerdSession& session) {
  const auto containers = containers_v1::Containers::NewStub(session.channel());
  std::vector<ContainerRecord> records;
  ContainerdCall call(session);
  const auto stream = containers->ListStream(call.context(), containers_v1::ListContainersRequest());
  containers_v1::ListContainerMessage message;
  while (stream->Read(&message)) {
    containers_v1::Container& container = *message.mutable_container();
    records.push_back({.id = std::move(*container.mutable_id()),
                       .image = std::move(*container.mutable_image()),
                       .snapshotter = std::move(*container.mutable_snapshotter()),
                       .snapshot_key = std::move(*container.mutable_snapshot_key())});
  }
  RETURN_IF_ERROR(FromGrpcStatus(stream->Finish(), "list containers"));
  return records;
}

}  // namespace sluice
