// A thread that does the same small work every so often, and sooner when woken.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "base/cancellation.h"
#include "base/mutex.h"

namespace sluice {

// Thread-safe.
class BackgroundLoop {
 public:
  // `round` is called at once, then `interval` after the end of each call, on the loop's thread. It is given a
  // cancellation that is set when the loop ends.
  BackgroundLoop(std::function<void(const Cancellation&)> round, std::chrono::nanoseconds interval);
  // Waits for a running round, which should look at its cancellation.
  ~BackgroundLoop();

  // A whole round soon, without waiting for it.
  void Wake();

  // Waits for a round that begins after this call, but no longer than `limit` and not beyond `cancellation`.
  void RunRound(absl::Duration limit, const Cancellation& cancellation);

 private:
  void Work();

  const std::function<void(const Cancellation&)> round_;
  const std::chrono::nanoseconds interval_;
  Cancellation stopping_;

  Mutex mutex_;
  CondVar changed_;
  // Rounds are numbered from 1.
  uint64_t begun_ SLUICE_GUARDED_BY(mutex_) = 0;
  uint64_t done_ SLUICE_GUARDED_BY(mutex_) = 0;
  uint64_t wanted_ SLUICE_GUARDED_BY(mutex_) = 1;
  std::thread thread_;
};

}  // namespace sluice
