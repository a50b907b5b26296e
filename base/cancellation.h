// A flag that one side sets and the working side looks at.
#pragma once

#include <atomic>

#include "absl/status/status.h"

namespace sluice {

// Thread-safe. The worker checks once per tar entry and once per block read, so that it stops within 100 ms; it borrows
// the object, which must outlive the work.
class Cancellation {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Cancelled once Cancel() was called, else OK.
  absl::Status Check() const { return cancelled() ? absl::CancelledError("cancelled") : absl::OkStatus(); }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace sluice
