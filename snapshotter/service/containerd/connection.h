// gRPC to containerd's own socket: the channel, the context of a call, and statuses in our words.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace sluice {

// containerd's own limit for messages, both ways (defaults.DefaultMaxRecvMsgSize).
inline constexpr int kMaxContainerdMessageBytes = 16 << 20;

// Connects when the first call is made, and again whenever it has to: containerd may start after us, and restart.
std::shared_ptr<grpc::Channel> OpenContainerdChannel(const std::string& socket_path);

// What every call carries. `lease_id` may be empty.
void PrepareCall(grpc::ClientContext& context, const std::string& containerd_namespace, absl::Time deadline,
                 const std::string& lease_id = "");

// "containerd: operation: message" with the same code.
absl::Status FromGrpcStatus(const grpc::Status& status, absl::string_view operation);

}  // namespace sluice
