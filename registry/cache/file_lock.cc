#include "registry/cache/file_lock.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kLongest{20};

}  // namespace

bool TryLock(int fd, int operation) {
  while (flock(fd, operation | LOCK_NB) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

absl::Status Pause::Next(const Cancellation* cancellation) {
  if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
  std::this_thread::sleep_for(next_);
  next_ = std::min(2 * next_, kLongest);
  return absl::OkStatus();
}

}  // namespace sluice
