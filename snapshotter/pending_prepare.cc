#include "snapshotter/pending_prepare.h"

#include <utility>

namespace sluice {

PendingPrepare::PendingPrepare(Done done) : done_(std::move(done)) {}

void PendingPrepare::Cancel(absl::Status reason) {
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kAnswered) return;
    cancellation_->Cancel();
    if (state_ == State::kWorking) {
      cancelled_ = std::move(reason);
      return;
    }
    state_ = State::kAnswered;
  }
  done_(std::move(reason));
}

bool PendingPrepare::Proceed() {
  const MutexLock lock(mutex_);
  if (state_ == State::kAnswered) return false;
  state_ = State::kWorking;
  return true;
}

bool PendingPrepare::Wait() {
  absl::Status cancelled;
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kAnswered) return false;
    state_ = State::kWaiting;
    cancelled = cancelled_;
  }
  if (cancelled.ok()) return true;
  Answer(std::move(cancelled));
  return false;
}

void PendingPrepare::Answer(absl::StatusOr<std::vector<Mount>> result) {
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kAnswered) return;
    state_ = State::kAnswered;
  }
  done_(std::move(result));
}

}  // namespace sluice
