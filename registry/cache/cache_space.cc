#include "registry/cache/cache_space.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "registry/cache/file_lock.h"

namespace sluice {
namespace {

// What is missing to a limit, and how it gets less.
struct Shortage {
  int64_t bytes = 0;
  int64_t inodes = 0;

  bool Any() const { return bytes > 0 || inodes > 0; }
};

int64_t HeldBytes(const std::vector<CacheEntry>& entries) {
  int64_t bytes = 0;
  for (const CacheEntry& entry : entries) bytes += entry.held;
  return bytes;
}

}  // namespace

bool Evict(const CacheDirectory& directory, const CacheEntry& entry) {
  const absl::StatusOr<UniqueFd> fd = directory.OpenBlob(entry.place, entry.digest);
  if (!fd.ok() || !TryLock(fd->get(), LOCK_EX)) return false;
  const std::optional<CacheEntry> locked = directory.Find(entry.place, entry.digest);
  if (!locked.has_value() || !directory.IsNamed(entry.place, entry.digest, fd->get())) return false;
  if (locked->used.tv_sec != entry.used.tv_sec || locked->used.tv_nsec != entry.used.tv_nsec) return false;
  return directory.Remove(entry.place, entry.digest).ok();
}

absl::StatusOr<bool> CacheSpace::Reserve(int fd, int64_t size, const Cancellation* cancellation) const {
  if (size > limits_.max_bytes) return false;
  ASSIGN_OR_RETURN(const LayoutLock lock, directory_.Lock(cancellation));
  struct stat attributes = {};
  if (fstat(fd, &attributes) != 0) return ErrnoStatus(errno, "fstat", directory_.path());
  constexpr int64_t kStatBlock = 512;
  const int64_t held = std::max<int64_t>(attributes.st_size, attributes.st_blocks * kStatBlock);
  ASSIGN_OR_RETURN(const bool fits, MakeRoom(std::max<int64_t>(0, size - held), 0));
  if (!fits) return false;
  // The length stays what was written. Where the file system cannot reserve, the room is only counted.
  while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) != 0) {
    if (errno != EINTR) return errno != ENOSPC && errno != EDQUOT;
  }
  return true;
}

absl::StatusOr<bool> CacheSpace::MakeRoom(const LayoutLock&, int64_t bytes) const { return MakeRoom(bytes, 1); }

absl::StatusOr<bool> CacheSpace::MakeRoom(int64_t bytes, int64_t inodes) const {
  struct statvfs system = {};
  if (fstatvfs(directory_.fd(), &system) != 0) return ErrnoStatus(errno, "fstatvfs", directory_.path());
  ASSIGN_OR_RETURN(const std::vector<CacheEntry> entries, directory_.List());
  const int64_t held = HeldBytes(entries);
  const int64_t free = static_cast<int64_t>(system.f_bavail * system.f_frsize);
  Shortage shortage;
  shortage.bytes = std::max(held + bytes - limits_.max_bytes, limits_.min_free_bytes + bytes - free);
  // Some file systems (btrfs) make inodes as they go and count none.
  if (system.f_files != 0) {
    shortage.inodes = limits_.min_free_inodes + inodes - static_cast<int64_t>(system.f_favail);
  }
  // Not all of this can be evicted perhaps, but more than this cannot.
  if (shortage.bytes > held || shortage.inodes > static_cast<int64_t>(entries.size())) return false;
  for (const CacheEntry& entry : entries) {
    if (!shortage.Any()) break;
    if (!Evict(directory_, entry)) continue;
    shortage.bytes -= entry.held;
    --shortage.inodes;
  }
  return !shortage.Any();
}

absl::StatusOr<int64_t> CacheSpace::Shrink(const LayoutLock&, int64_t max_bytes) const {
  ASSIGN_OR_RETURN(const std::vector<CacheEntry> entries, directory_.List());
  const int64_t held = HeldBytes(entries);
  int64_t freed = 0;
  for (const CacheEntry& entry : entries) {
    if (held - freed <= max_bytes) break;
    if (Evict(directory_, entry)) freed += entry.held;
  }
  return freed;
}

}  // namespace sluice
