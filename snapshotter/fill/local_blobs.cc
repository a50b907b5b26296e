#include "snapshotter/fill/local_blobs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace sluice {
namespace {

std::string KeyOf(const Store& store, const Digest& digest) { return absl::StrCat(store.path(), "\n", digest.Hex()); }

}  // namespace

std::vector<LocalBlob> LocalBlobs::Open(absl::Span<const PlannedBlob> blobs) {
  std::vector<LocalBlob> found;
  for (const PlannedBlob& blob : blobs) {
    for (const std::shared_ptr<const Store>& store : stores_) {
      if (IsRejected(KeyOf(*store, blob.digest))) continue;
      // Whatever the reason, a store that does not give the blob does not have it for us.
      absl::StatusOr<std::unique_ptr<ByteReader>> reader = store->OpenBlob(blob.digest, blob.size);
      if (reader.ok()) found.push_back({.blob = blob, .store = store, .reader = *std::move(reader)});
    }
  }
  return found;
}

void LocalBlobs::Reject(const LocalBlob& blob) {
  const absl::Time now = absl::Now();
  MutexLock lock(mutex_);
  absl::erase_if(rejected_until_, [now](const auto& entry) { return entry.second < now; });
  rejected_until_[KeyOf(*blob.store, blob.blob.digest)] = now + kRejectionLifetime;
}

std::string LocalBlobs::Names() const {
  return absl::StrJoin(stores_, ", ", [](std::string* out, const std::shared_ptr<const Store>& store) {
    absl::StrAppend(out, store->name(), " (", store->path(), ")");
  });
}

bool LocalBlobs::IsRejected(const std::string& key) {
  MutexLock lock(mutex_);
  auto rejected = rejected_until_.find(key);
  return rejected != rejected_until_.end() && absl::Now() < rejected->second;
}

}  // namespace sluice
