// A clock whose time passes only by being slept.
#pragma once

#include <chrono>
#include <vector>

#include "base/mutex.h"
#include "base/status_macros.h"
#include "registry/client/retry_clock.h"

namespace sluice {

// Thread-safe. Starts at Tue, 14 Nov 2023 22:13:20 GMT.
class FakeRetryClock : public RetryClock {
 public:
  absl::Time Now() const override {
    MutexLock lock(mutex_);
    return now_;
  }
  absl::Status Sleep(std::chrono::milliseconds duration, const Cancellation* cancellation) const override {
    if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
    MutexLock lock(mutex_);
    waits_.push_back(duration);
    now_ += absl::FromChrono(duration);
    return absl::OkStatus();
  }
  double Jitter() const override {
    MutexLock lock(mutex_);
    return jitter_;
  }

  void set_jitter(double jitter) {
    MutexLock lock(mutex_);
    jitter_ = jitter;
  }
  void Advance(absl::Duration duration) {
    MutexLock lock(mutex_);
    now_ += duration;
  }
  // Every Sleep so far.
  std::vector<std::chrono::milliseconds> waits() const {
    MutexLock lock(mutex_);
    return waits_;
  }

 private:
  mutable Mutex mutex_;
  mutable absl::Time now_ SLUICE_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1'700'000'000);
  mutable std::vector<std::chrono::milliseconds> waits_ SLUICE_GUARDED_BY(mutex_);
  double jitter_ SLUICE_GUARDED_BY(mutex_) = 0;
};

}  // namespace sluice
