#include "snapshotter/fill/local_blobs.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace sluice {
namespace {

FileIdentity IdentityOf(const std::string& path) {
  struct stat file = {};
  if (lstat(path.c_str(), &file) != 0) return {};
  return {.device = file.st_dev,
          .inode = file.st_ino,
          .size = file.st_size,
          .mtime_ns = file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec};
}

}  // namespace

LocalBlobs::Found LocalBlobs::Open(absl::Span<const PlannedBlob> blobs) {
  Found found;
  for (const PlannedBlob& blob : blobs) {
    for (const std::shared_ptr<const Store>& store : stores_) {
      const std::string path = store->BlobPath(blob.digest);
      const FileIdentity identity = IdentityOf(path);
      if (IsRejected(path, identity)) {
        found.rejected_path = path;
        continue;
      }
      // Whatever the reason, a store that does not give the blob does not have it for us.
      absl::StatusOr<std::unique_ptr<ByteReader>> reader = store->OpenBlob(blob.digest, blob.size);
      if (reader.ok()) {
        found.blobs.push_back({.blob = blob, .store = store, .reader = *std::move(reader), .identity = identity});
      }
    }
  }
  return found;
}

void LocalBlobs::Reject(const LocalBlob& blob) {
  const absl::Time now = absl::Now();
  MutexLock lock(mutex_);
  absl::erase_if(rejections_, [now](const auto& entry) { return entry.second.until < now; });
  rejections_[blob.path()] = {.identity = blob.identity, .until = now + kRejectionLifetime};
}

std::string LocalBlobs::Names() const {
  return absl::StrJoin(stores_, ", ", [](std::string* out, const std::shared_ptr<const Store>& store) {
    absl::StrAppend(out, store->name(), " (", store->path(), ")");
  });
}

bool LocalBlobs::IsRejected(const std::string& path, const FileIdentity& identity) {
  MutexLock lock(mutex_);
  auto rejection = rejections_.find(path);
  return rejection != rejections_.end() && rejection->second.identity == identity &&
         absl::Now() < rejection->second.until;
}

}  // namespace sluice
