#include "registry/cache/whole_blob.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "registry/cache/file_lock.h"
#include "registry/store/store_file.h"

namespace sluice {
namespace {

// An exclusive lock on a whole blob lasts for a moment, while it is put in place or evicted. If its holder is stopped
// just then, the blob is read without a lock, after some 100 ms: the open file stays readable whatever happens to its
// name.
constexpr int kAttempts = 8;

void MarkUsed(int fd) {
  const timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  // Where that is not allowed (a read-only file system), the order of eviction suffers, and nothing else.
  futimens(fd, times);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteReader>> OpenWholeBlob(const CacheDirectory& directory, const Digest& digest,
                                                          std::optional<int64_t> size) {
  const std::string path = directory.PathOf(BlobPlace::kWhole, digest);
  Pause pause;
  for (int attempt = 0;; ++attempt) {
    ASSIGN_OR_RETURN(UniqueFd fd, directory.OpenBlob(BlobPlace::kWhole, digest));
    struct stat attributes = {};
    if (fstat(fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", path);
    if (size.has_value() && attributes.st_size != *size) {
      return absl::NotFoundError(absl::StrCat(path, ": ", attributes.st_size, " bytes instead of ", *size));
    }
    const bool locked = TryLock(fd.get(), LOCK_SH) && directory.IsNamed(BlobPlace::kWhole, digest, fd.get());
    if (!locked && attempt < kAttempts) {
      RETURN_IF_ERROR(pause.Next(nullptr));
      continue;
    }
    MarkUsed(fd.get());
    return StreamStoreFile({std::move(fd), attributes.st_size}, path);
  }
}

}  // namespace sluice
