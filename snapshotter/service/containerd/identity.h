// Which containerd is this? One daemon serves exactly one: two on one root would garbage-collect each other's layers.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"

namespace sluice {

// The UUID that containerd keeps in its root (Introspection service). Unavailable while it is not running.
absl::StatusOr<std::string> ReadContainerdUuid(const std::shared_ptr<grpc::Channel>& channel, absl::Time deadline);

// OK if `uuid` is the one that `known` was bound to, or if that is empty; else FailedPrecondition with the mend.
// `address` and `root` are for the message.
absl::Status CheckContainerdUuid(const std::string& uuid, const std::string& known, const std::string& address,
                                 const std::string& root);

}  // namespace sluice
