// How much a blob cache may hold, and what goes when it is more.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "registry/cache/cache_directory.h"

namespace sluice {

struct CacheLimits {
  int64_t max_bytes = 0;
  int64_t min_free_bytes = 0;  // of the file system
  int64_t min_free_inodes = 0;
};

// Removes a blob, or an interrupted download. False if it is being read or downloaded, or is not any more what `entry`
// says: used since, or replaced.
bool Evict(const CacheDirectory& directory, const CacheEntry& entry);

// Const methods only; any thread.
//
// What was not used for longest is evicted first, blobs and interrupted downloads alike. A download counts with all the
// room that it reserved, so that several that start together do not share the same gap; where the file system has no
// fallocate(2), they can.
class CacheSpace {
 public:
  CacheSpace(CacheDirectory directory, const CacheLimits& limits) : directory_(std::move(directory)), limits_(limits) {}

  const CacheDirectory& directory() const { return directory_; }
  const CacheLimits& limits() const { return limits_; }

  // Makes room for the file `fd` to become `size` bytes long, and reserves it. False: it does not fit, and nothing was
  // evicted in vain as far as that can be known beforehand.
  absl::StatusOr<bool> Reserve(int fd, int64_t size, const Cancellation* cancellation) const;
  // The same for a file that is not there yet, without reserving.
  absl::StatusOr<bool> MakeRoom(const LayoutLock& lock, int64_t bytes) const;
  // Evicts until at most `max_bytes` are left. Returns how many bytes that freed.
  absl::StatusOr<int64_t> Shrink(const LayoutLock& lock, int64_t max_bytes) const;

 private:
  absl::StatusOr<bool> MakeRoom(int64_t bytes, int64_t inodes) const;

  const CacheDirectory directory_;
  const CacheLimits limits_;
};

}  // namespace sluice
