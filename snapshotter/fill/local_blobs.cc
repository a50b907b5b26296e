#include "snapshotter/fill/local_blobs.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "glog/logging.h"

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

LocalBlobs::Found LocalBlobs::Open(absl::Span<const PlannedBlob> blobs, absl::Span<const Endpoint> origins) {
  Found found;
  for (const PlannedBlob& blob : blobs) {
    for (const std::shared_ptr<const Store>& store : stores_) {
      std::string path = store->BlobPath(blob.digest, origins);
      const FileIdentity identity = IdentityOf(path);
      if (absl::Status rejection = RejectionOf(path, identity); !rejection.ok()) {
        found.rejection = std::move(rejection);
        continue;
      }
      absl::StatusOr<std::unique_ptr<ByteReader>> reader = store->OpenBlob(blob.digest, blob.size, origins);
      if (reader.ok()) {
        found.blobs.push_back({.blob = blob,
                               .store = store,
                               .reader = *std::move(reader),
                               .path = std::move(path),
                               .identity = identity});
      } else if (identity != FileIdentity() || !absl::IsNotFound(reader.status())) {
        // Not simply absent: somebody should hear of it.
        Reject(path, store->name(), identity, reader.status());
        found.rejection = reader.status();
      }
    }
  }
  return found;
}

void LocalBlobs::Reject(const LocalBlob& blob, const absl::Status& reason) {
  Reject(blob.path, blob.store->name(), blob.identity, reason);
}

void LocalBlobs::Reject(const std::string& path, const std::string& store_name, const FileIdentity& identity,
                        const absl::Status& reason) {
  LOG(WARNING) << "not used: " << path << " (store " << store_name << "): " << reason.message();
  // Too few descriptors or too little memory say nothing about the file.
  if (absl::IsResourceExhausted(reason)) return;
  const absl::Time now = absl::Now();
  MutexLock lock(mutex_);
  absl::erase_if(rejections_, [now](const auto& entry) { return entry.second.until < now; });
  rejections_[path] = {
      .identity = identity, .until = now + kRejectionLifetime, .reason = std::string(reason.message())};
}

std::string LocalBlobs::Names() const {
  return absl::StrJoin(stores_, ", ", [](std::string* out, const std::shared_ptr<const Store>& store) {
    absl::StrAppend(out, store->name());
    if (store->name() != store->path()) absl::StrAppend(out, " (", store->path(), ")");
  });
}

absl::Status LocalBlobs::RejectionOf(const std::string& path, const FileIdentity& identity) {
  MutexLock lock(mutex_);
  auto rejection = rejections_.find(path);
  if (rejection == rejections_.end() || rejection->second.identity != identity ||
      rejection->second.until < absl::Now()) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat(path, " was found unusable and has not changed since: ", rejection->second.reason));
}

}  // namespace sluice
