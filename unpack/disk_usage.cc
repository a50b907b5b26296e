#include "unpack/disk_usage.h"

#include <sys/stat.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/tree_walk.h"

namespace sluice {

constexpr int64_t kBlockBytes = 512;

absl::StatusOr<DiskUsage> CountDiskUsage(const RootedDirectory& root) {
  DiskUsage usage;
  absl::flat_hash_set<ino_t> seen;
  const auto count = [&](const TreeWalk::Entry& entry) {
    const bool several_names = !S_ISDIR(entry.attributes.st_mode) && entry.attributes.st_nlink > 1;
    if (several_names && !seen.insert(entry.attributes.st_ino).second) return absl::OkStatus();
    usage.bytes += entry.attributes.st_blocks * kBlockBytes;
    ++usage.inodes;
    return absl::OkStatus();
  };
  const auto ignore = [](int /*directory_fd*/, absl::string_view /*path*/) { return absl::OkStatus(); };
  RETURN_IF_ERROR(TreeWalk(root).Run(count, ignore));
  return usage;
}

}  // namespace sluice
