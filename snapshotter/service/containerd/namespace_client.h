// containerd's Namespaces service.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"

namespace sluice {

// The names of all namespaces. Unavailable while containerd is not running.
absl::StatusOr<std::vector<std::string>> ListNamespaces(const std::shared_ptr<grpc::Channel>& channel,
                                                        absl::Time deadline);

}  // namespace sluice
