// absl::Status → grpc::Status: the one place where the product names its codes on the wire.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace sluice {

// The codes have the same numbers. A long message is cut: it travels in an HTTP/2 header.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace sluice
