// What a directory tree takes on disk, counted as containerd counts (continuity fs.DiskUsage).
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "snapshotter/snapshot.h"

namespace sluice {

// Walks the tree below the open directory (O_PATH will do), itself included: allocated blocks of every distinct inode.
// Links are not followed. What vanishes during the walk is not counted; depth is bounded by memory alone.
// Errors: Cancelled (`cancellation`, borrowed, may be null); OutOfRange if there are more than `most_inodes`;
// Unavailable if directories kept moving away under the walk; else as the system call gave it.
absl::StatusOr<Usage> DiskUsage(int directory_fd, const Cancellation* cancellation = nullptr,
                                int64_t most_inodes = INT64_MAX);

}  // namespace sluice
