#include "snapshotter/pending_prepare.h"

#include <utility>

namespace sluice {

PendingPrepare::PendingPrepare(Done done, PrepareLedger* ledger) : done_(std::move(done)), ledger_(ledger) {
  if (ledger_ != nullptr) ledger_->Began();
}

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
  End(std::move(reason));
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

void PendingPrepare::GotBy(std::string strategy) {
  const MutexLock lock(mutex_);
  strategy_ = std::move(strategy);
}

void PendingPrepare::End(absl::StatusOr<std::vector<Mount>> result) {
  if (ledger_ != nullptr) {
    std::string strategy;
    {
      const MutexLock lock(mutex_);
      strategy = strategy_;
    }
    ledger_->Answered(strategy, result.status(), absl::Now() - began_);
  }
  done_(std::move(result));
}

void PendingPrepare::Answer(absl::StatusOr<std::vector<Mount>> result) {
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kAnswered) return;
    state_ = State::kAnswered;
  }
  End(std::move(result));
}

}  // namespace sluice
