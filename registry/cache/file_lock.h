// flock(2), waited for by looking again: a blocking flock cannot be cancelled.
//
// A lock belongs to one open(2) of the file: it works between the threads of a process as between processes, and the
// kernel frees it when the descriptor is closed, however its owner died.
#pragma once

#include <chrono>

#include "absl/status/status.h"
#include "base/cancellation.h"

namespace sluice {

// `operation` is LOCK_SH or LOCK_EX; replaces a lock that `fd` has, which is lost if the new one is not to be had.
// False if another one holds it.
bool TryLock(int fd, int operation);

// The time between two looks at what another process is doing: 1 ms first, then longer, up to 20 ms.
class Pause {
 public:
  // Sleeps. Cancelled, without sleeping, if `cancellation` (may be null) says so.
  absl::Status Next(const Cancellation* cancellation);
  // Something happened: the next pause is a short one.
  void Reset() { next_ = kShortest; }

 private:
  static constexpr std::chrono::milliseconds kShortest{1};

  std::chrono::milliseconds next_ = kShortest;
};

}  // namespace sluice
