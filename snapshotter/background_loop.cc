#include "snapshotter/background_loop.h"

#include <utility>

namespace sluice {
namespace {

// Cancellation is a flag that wakes nobody.
constexpr std::chrono::milliseconds kCancellationCheck(50);

}  // namespace

BackgroundLoop::BackgroundLoop(std::function<void(const Cancellation&)> round, std::chrono::nanoseconds interval)
    : round_(std::move(round)), interval_(interval) {
  thread_ = std::thread([this] { Work(); });
}

BackgroundLoop::~BackgroundLoop() {
  {
    const MutexLock lock(mutex_);
    stopping_.Cancel();
  }
  changed_.NotifyAll();
  thread_.join();
}

void BackgroundLoop::Wake() {
  {
    const MutexLock lock(mutex_);
    wanted_ = begun_ + 1;
  }
  changed_.NotifyAll();
}

void BackgroundLoop::RunRound(absl::Duration limit, const Cancellation& cancellation) {
  const absl::Time deadline = absl::Now() + limit;
  const MutexLock lock(mutex_);
  const uint64_t awaited = begun_ + 1;
  wanted_ = awaited;
  changed_.NotifyAll();
  while (done_ < awaited && !cancellation.cancelled() && !stopping_.cancelled() && absl::Now() < deadline) {
    changed_.WaitFor(mutex_, kCancellationCheck);
  }
}

void BackgroundLoop::Work() {
  const MutexLock lock(mutex_);
  while (!stopping_.cancelled()) {
    ++begun_;
    mutex_.Unlock();
    round_(stopping_);
    mutex_.Lock();
    ++done_;
    changed_.NotifyAll();
    // Any notification but a wake-up only starts the interval anew.
    if (begun_ >= wanted_ && !stopping_.cancelled()) changed_.WaitFor(mutex_, interval_);
  }
}

}  // namespace sluice
