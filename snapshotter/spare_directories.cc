#include "snapshotter/spare_directories.h"

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "glog/logging.h"

namespace sluice {
namespace {

// A node starts containers by the dozen at most; 400 KiB on most file systems.
constexpr size_t kSpares = 32;
// Making a few at once costs hardly more than making one.
constexpr size_t kFew = kSpares / 2;
// It is woken when there are few; this is for when making them has failed.
constexpr std::chrono::seconds kRetryInterval(30);

}  // namespace

SpareDirectories::SpareDirectories(SnapshotTree& tree, MetadataStore& metadata)
    : tree_(tree),
      metadata_(metadata),
      refilling_([this](const Cancellation& stopping) { Refill(stopping); }, kRetryInterval) {}

std::optional<int64_t> SpareDirectories::Take() {
  std::optional<int64_t> taken;
  bool few;
  {
    const MutexLock lock(mutex_);
    wanted_ = true;
    if (!spares_.empty()) {
      taken = spares_.back();
      spares_.pop_back();
    }
    few = spares_.size() <= kFew;
  }
  if (few) refilling_.Wake();
  if (!taken.has_value()) return std::nullopt;
  if (const absl::Status status = tree_.PublishSpare(*taken); !status.ok()) {
    LOG(WARNING) << "spare directory " << *taken << ": not used: " << status.message();
    return std::nullopt;
  }
  return taken;
}

void SpareDirectories::Refill(const Cancellation& stopping) {
  size_t missing;
  {
    const MutexLock lock(mutex_);
    if (!wanted_ || spares_.size() > kFew) return;
    missing = kSpares - spares_.size();
  }
  // Who needs a directory meanwhile makes one, and is told the reason if that fails as well.
  const absl::Status status = stopping.cancelled() ? absl::OkStatus() : Make(missing);
  if (!status.ok()) VLOG(1) << "spare directories: " << status.message();
}

absl::Status SpareDirectories::Make(size_t count) {
  std::vector<int64_t> ids;
  for (size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const int64_t id, metadata_.NextDirectoryId());
    ids.push_back(id);
  }
  RETURN_IF_ERROR(tree_.MakeSpares(ids));
  const MutexLock lock(mutex_);
  spares_.insert(spares_.end(), ids.begin(), ids.end());
  return absl::OkStatus();
}

}  // namespace sluice
