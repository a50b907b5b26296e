// containerd's Containers service: who uses an image or a snapshot.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {

struct ContainerRecord {
  std::string id;
  std::string image;  // the name of an image record; may be empty
  std::string snapshotter;
  std::string snapshot_key;
};

// All containers of the session's namespace, running or not: containerd has a record of each until it is removed.
absl::StatusOr<std::vector<ContainerRecord>> ListContainers(ContainerdSession& session);

}  // namespace sluice
