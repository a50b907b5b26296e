// How long the calls of the server took and how they ended, since the daemon began: for metrics. Every service on the
// server is counted, by an interceptor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/histogram.h"
#include "base/mutex.h"
#include "grpcpp/support/server_interceptor.h"

namespace sluice {

struct RpcCount {
  std::string method;  // "Snapshots/Prepare"
  std::string code;    // "OK", "ALREADY_EXISTS"
  DurationHistogram seconds;
};

// Thread-safe. There are as many methods as the server has, whatever clients call.
class RpcLedger {
 public:
  // `path` as gRPC names it: "/containerd.services.snapshots.v1.Snapshots/Prepare".
  void Ended(absl::string_view path, grpc::StatusCode code, absl::Duration took);

  // In the order of their names.
  std::vector<RpcCount> Calls() const;

 private:
  mutable Mutex mutex_;
  std::map<std::pair<std::string, grpc::StatusCode>, DurationHistogram> calls_ SLUICE_GUARDED_BY(mutex_);
};

// Tells `ledger`, borrowed for the life of the server, of each call when its status is sent.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> RpcObserver(RpcLedger& ledger);

}  // namespace sluice
