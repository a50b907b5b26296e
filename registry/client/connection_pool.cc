#include "registry/client/connection_pool.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kPoll(50);
constexpr size_t kMaxIdle = 16;
// How many connections a set keeps open, about: a registry, its token server, its storage.
constexpr size_t kMaxOrigins = 4;

}  // namespace

ConnectionPool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->Return(std::move(reusable_));
}

absl::StatusOr<ConnectionPool::Lease> ConnectionPool::Acquire(absl::string_view origin, AddressReach reach,
                                                              const Cancellation* cancellation) {
  MutexLock lock(mutex_);
  while (running_ >= max_running_) {
    if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
    freed_.WaitFor(mutex_, kPoll);
  }
  ++running_;
  Reusable reusable;
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const Reusable& idle) {
    return idle.reach == reach && std::find(idle.origins.begin(), idle.origins.end(), origin) != idle.origins.end();
  });
  if (found != idle_.rend()) {
    reusable = std::move(*found);
    idle_.erase(std::next(found).base());
  }
  reusable.reach = reach;
  std::erase(reusable.origins, origin);
  reusable.origins.emplace_back(origin);
  if (reusable.origins.size() > kMaxOrigins) reusable.origins.erase(reusable.origins.begin());
  Lease lease;
  lease.pool_ = shared_from_this();
  lease.reusable_ = std::move(reusable);
  return lease;
}

void ConnectionPool::Return(Reusable reusable) {
  Reusable oldest;  // closed when the lock is free again
  MutexLock lock(mutex_);
  --running_;
  freed_.NotifyOne();
  if (reusable.connections == nullptr) return;
  idle_.push_back(std::move(reusable));
  if (idle_.size() <= kMaxIdle) return;
  oldest = std::move(idle_.front());
  idle_.erase(idle_.begin());
}

}  // namespace sluice
