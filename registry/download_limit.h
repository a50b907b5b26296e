// How much of a registry one host takes at once: an operator's bounds on its downloads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/mutex.h"

namespace sluice {

// Thread-safe. Its readers keep it alive.
class DownloadLimit : public std::enable_shared_from_this<DownloadLimit> {
 public:
  using Open = std::function<absl::StatusOr<std::unique_ptr<ByteReader>>()>;

  // 0: no such bound. The rate is that of all downloads together, and holds over a second or more.
  static std::shared_ptr<DownloadLimit> Create(int max_downloads, int64_t max_bytes_per_second);

  // Waits for its turn, then calls `open`; the turn ends with the reader that it gave. `cancellation`, borrowed for the
  // life of the reader and possibly null, ends every wait within 100 ms.
  absl::StatusOr<std::unique_ptr<ByteReader>> Start(const Open& open, const Cancellation* cancellation);

 private:
  class Turn;
  class Reader;
  using Clock = std::chrono::steady_clock;

  DownloadLimit(int max_downloads, int64_t max_bytes_per_second)
      : max_downloads_(max_downloads), max_bytes_per_second_(max_bytes_per_second) {}

  // How long whoever has just read `bytes` has to wait before reading on.
  Clock::duration Account(size_t bytes);

  const int max_downloads_;
  const int64_t max_bytes_per_second_;
  Mutex mutex_;
  CondVar freed_;
  int running_ SLUICE_GUARDED_BY(mutex_) = 0;
  // When everything read so far would have arrived at the allowed rate.
  Clock::time_point paid_until_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
