// Time as the registry client sees it, so that tests need not wait.
#pragma once

#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/cancellation.h"

namespace sluice {

// Thread-safe.
class RetryClock {
 public:
  virtual ~RetryClock() = default;

  static std::shared_ptr<const RetryClock> Real();

  virtual absl::Time Now() const = 0;
  // Cancelled, looked at every 50 ms, ends it early. `cancellation` may be null.
  virtual absl::Status Sleep(std::chrono::milliseconds duration, const Cancellation* cancellation) const = 0;
  // At random in [0, 1): clients that failed together shall not come back together.
  virtual double Jitter() const = 0;
};

}  // namespace sluice
