// The containerd namespace that a call is made in, where the client says so.
#pragma once

#include <string>

#include "grpcpp/server_context.h"

namespace sluice {

// Empty without the header: Debian's containerd 1.6 does not pass it on.
std::string NamespaceHeader(const grpc::CallbackServerContext& context);

}  // namespace sluice
