#include "unpack/chunk_ring.h"

#include <algorithm>
#include <utility>

namespace sluice {

ChunkRing::ChunkRing(size_t chunks, size_t chunk_bytes)
    : chunk_bytes_(chunk_bytes), buffers_(chunks), sizes_(chunks, 0) {}

absl::Span<char> ChunkRing::Acquire() {
  MutexLock lock(mutex_);
  while (!aborted_ && published_ - *std::min_element(left_.begin(), left_.end()) == buffers_.size()) {
    changed_.Wait(mutex_);
  }
  if (aborted_) return {};
  std::unique_ptr<char[]>& buffer = buffers_[published_ % buffers_.size()];
  // Not value-initialised: a small layer must not touch what it does not need.
  if (buffer == nullptr) buffer.reset(new char[chunk_bytes_]);
  return absl::MakeSpan(buffer.get(), chunk_bytes_);
}

void ChunkRing::Publish(size_t bytes) {
  MutexLock lock(mutex_);
  sizes_[published_ % sizes_.size()] = bytes;
  ++published_;
  changed_.NotifyAll();
}

void ChunkRing::Close(absl::Status status) {
  MutexLock lock(mutex_);
  closed_ = true;
  status_ = std::move(status);
  changed_.NotifyAll();
}

absl::StatusOr<absl::string_view> ChunkRing::Next(size_t reader) {
  MutexLock lock(mutex_);
  if (left_[reader] != given_[reader]) {
    left_[reader] = given_[reader];
    changed_.NotifyAll();
  }
  while (!aborted_ && !closed_ && given_[reader] == published_) changed_.Wait(mutex_);
  if (aborted_) return absl::CancelledError("cancelled");
  if (given_[reader] == published_) {
    if (!status_.ok()) return status_;
    return absl::string_view();
  }
  const size_t at = given_[reader]++ % buffers_.size();
  return absl::string_view(buffers_[at].get(), sizes_[at]);
}

void ChunkRing::Abort() {
  MutexLock lock(mutex_);
  aborted_ = true;
  changed_.NotifyAll();
}

}  // namespace sluice
