// A bounded ring of buffers between the thread that makes a layer's plain bytes and the threads that use them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/mutex.h"

namespace sluice {

// One writer thread, and kReaders reader threads that each see every byte, in order, without a copy: a buffer is filled
// again when all of them have left it.
class ChunkRing {
 public:
  static constexpr size_t kReaders = 2;

  ChunkRing(size_t chunks, size_t chunk_bytes);
  ChunkRing(const ChunkRing&) = delete;
  ChunkRing& operator=(const ChunkRing&) = delete;

  // Writer: the next buffer to fill, once it is free; empty after Abort().
  absl::Span<char> Acquire();
  // Writer: hands over the first `bytes` of what Acquire() gave. REQUIRES: bytes > 0.
  void Publish(size_t bytes);
  // Writer: no more chunks. Readers get what was published, then `status`.
  void Close(absl::Status status);

  // Reader `reader`: leaves its chunk and waits for the next; empty at the end. Valid until its next call.
  absl::StatusOr<absl::string_view> Next(size_t reader);
  // Any thread: the writer stops; readers too, with Cancelled.
  void Abort();

 private:
  const size_t chunk_bytes_;
  std::vector<std::unique_ptr<char[]>> buffers_;
  std::vector<size_t> sizes_;

  Mutex mutex_;
  CondVar changed_;
  uint64_t published_ SLUICE_GUARDED_BY(mutex_) = 0;
  // How many chunks each reader has been given, and how many of them it has left.
  std::array<uint64_t, kReaders> given_ SLUICE_GUARDED_BY(mutex_) = {};
  std::array<uint64_t, kReaders> left_ SLUICE_GUARDED_BY(mutex_) = {};
  bool closed_ SLUICE_GUARDED_BY(mutex_) = false;
  bool aborted_ SLUICE_GUARDED_BY(mutex_) = false;
  absl::Status status_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
