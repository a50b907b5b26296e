#include "snapshotter/service/containerd/session.h"

#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kWatchInterval(50);
constexpr absl::Duration kCleanupTimeout = absl::Seconds(5);

}  // namespace

ContainerdSession::ContainerdSession(std::shared_ptr<grpc::Channel> channel, std::string containerd_namespace,
                                     const Cancellation& cancellation)
    : channel_(std::move(channel)),
      namespace_(std::move(containerd_namespace)),
      cancellation_(cancellation),
      watcher_([this] { Watch(); }) {}

ContainerdSession::~ContainerdSession() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  watcher_.join();
}

void ContainerdSession::Watch() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    if (cancellation_.cancelled()) {
      for (grpc::ClientContext* call : calls_) call->TryCancel();
    }
    changed_.WaitFor(mutex_, kWatchInterval);
  }
}

ContainerdCall::ContainerdCall(ContainerdSession& session, Kind kind) : session_(session) {
  const absl::Time deadline = kind == Kind::kCleanup ? absl::Now() + kCleanupTimeout : absl::InfiniteFuture();
  PrepareCall(context_, session.containerd_namespace(), deadline, session.lease_id());
  if (kind == Kind::kCleanup) return;
  MutexLock lock(session_.mutex_);
  session_.calls_.push_back(&context_);
}

ContainerdCall::~ContainerdCall() {
  MutexLock lock(session_.mutex_);
  std::erase(session_.calls_, &context_);
}

}  // namespace sluice
