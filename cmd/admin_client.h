// The daemon as its admin service shows it (proto/sluice/v1/admin.proto).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "sluice/v1/admin.grpc.pb.h"

namespace sluice {

namespace admin_v1 = sluice::v1;

// One thread at a time. Errors are about the daemon at its address: Unavailable nobody serves there, or it does not
// answer in time; PermissionDenied the socket is root's; Unimplemented something else serves there; Cancelled.
class AdminClient {
 public:
  // `cancellation` is borrowed, and obeyed within 100 ms.
  AdminClient(std::string address, const Cancellation& cancellation)
      : address_(std::move(address)), cancellation_(cancellation) {}

  absl::StatusOr<admin_v1::StatusResponse> Status();
  // All of them, in the order of their ids.
  absl::StatusOr<std::vector<admin_v1::Layer>> Layers();
  absl::StatusOr<admin_v1::PruneLayersResponse> PruneLayers();

 private:
  absl::Status Connect();

  // One call within `limit`.
  template <typename Method, typename Request, typename Response>
  absl::Status Call(Method method, const Request& request, Response& response);

  const std::string address_;
  const Cancellation& cancellation_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<admin_v1::Admin::Stub> stub_;
};

}  // namespace sluice
