#include "cmd/metrics/state_sample.h"

#include <sys/statvfs.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "glog/logging.h"

namespace sluice {
namespace {

absl::Status CountRows(MetadataStore& metadata, StateSample& sample) {
  return metadata.Read([&sample](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<SnapshotCount> counts, reader.CountSnapshots());
    ASSIGN_OR_RETURN(sample.layers, reader.TotalLayers());
    sample.snapshots.clear();
    for (const SnapshotCount& count : counts) sample.snapshots[count.kind] += count.count;
    return absl::OkStatus();
  });
}

absl::Status CountCache(const BlobCache& cache, StateSample& sample) {
  ASSIGN_OR_RETURN(sample.cache, cache.Totals());
  return absl::OkStatus();
}

absl::Status CountTrash(const SnapshotTree& tree, StateSample& sample) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, tree.TrashNames());
  sample.trash_entries = static_cast<int64_t>(names.size());
  return absl::OkStatus();
}

void MeasureDisk(int root_fd, StateSample& sample) {
  struct statvfs system = {};
  if (fstatvfs(root_fd, &system) != 0) return;
  sample.disk_size_bytes = static_cast<int64_t>(system.f_blocks * system.f_frsize);
  sample.disk_free_bytes = static_cast<int64_t>(system.f_bavail * system.f_frsize);
  sample.disk_free_inodes = static_cast<int64_t>(system.f_favail);
}

}  // namespace

void StateSampler::Take() {
  StateSample sample = Latest();
  absl::Status counted = CountRows(metadata_, sample);
  counted.Update(CountTrash(tree_, sample));
  if (cache_ != nullptr) counted.Update(CountCache(*cache_, sample));
  MeasureDisk(tree_.root_fd(), sample);
  // The metric says how old the numbers are.
  if (counted.ok()) sample.taken = absl::Now();
  VLOG_IF(1, !counted.ok()) << "metrics: " << counted.message();
  const MutexLock lock(mutex_);
  latest_ = std::move(sample);
}

StateSample StateSampler::Latest() const {
  const MutexLock lock(mutex_);
  return latest_;
}

}  // namespace sluice
