#include "snapshotter/service/rpc_ledger.h"

#include "absl/status/status.h"
#include "absl/time/clock.h"

namespace sluice {
namespace {

// Without the package, which is the same for all methods of a service.
absl::string_view ShortName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  const size_t dot = slash == absl::string_view::npos ? slash : path.rfind('.', slash);
  if (dot != absl::string_view::npos) return path.substr(dot + 1);
  return path.substr(path.empty() || path[0] != '/' ? 0 : 1);
}

// gRPC deletes it after the call.
class Observer : public grpc::experimental::Interceptor {
 public:
  Observer(RpcLedger& ledger, const char* path) : ledger_(ledger), path_(path) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      ledger_.Ended(path_, methods->GetSendStatus().error_code(), absl::Now() - began_);
    }
    methods->Proceed();
  }

 private:
  RpcLedger& ledger_;
  const char* const path_;  // the server's
  const absl::Time began_ = absl::Now();
};

class ObserverFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit ObserverFactory(RpcLedger& ledger) : ledger_(ledger) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return new Observer(ledger_, info->method());
  }

 private:
  RpcLedger& ledger_;
};

}  // namespace

void RpcLedger::Ended(absl::string_view path, grpc::StatusCode code, absl::Duration took) {
  const std::string method(ShortName(path));
  const MutexLock lock(mutex_);
  calls_[{method, code}].Observe(took);
}

std::vector<RpcCount> RpcLedger::Calls() const {
  std::vector<RpcCount> calls;
  const MutexLock lock(mutex_);
  calls.reserve(calls_.size());
  for (const auto& [key, seconds] : calls_) {
    calls.push_back({key.first, absl::StatusCodeToString(static_cast<absl::StatusCode>(key.second)), seconds});
  }
  return calls;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> RpcObserver(RpcLedger& ledger) {
  return std::make_unique<ObserverFactory>(ledger);
}

}  // namespace sluice
