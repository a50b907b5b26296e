// What a disk that is made of a tree must have room for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cancellation.h"

namespace sluice {

// Blocks are of 4 KiB; each inode once. None of it is less than what mkfs.ext4 will use.
struct TreeSize {
  int64_t inodes = 0;
  int64_t content_blocks = 0;  // of files, without holes, and of long symlinks
  int64_t directory_blocks = 0;
  int64_t files_with_xattrs = 0;  // those that are on the disk
  int64_t newest = 0;             // the latest modification, in seconds, rounded up
  bool longest_name = false;      // some name has 255 bytes
  // Paths of what is called "lost+found" and is an empty directory, or is not.
  std::vector<std::string> empty_lost_and_found;
  std::vector<std::string> full_lost_and_found;
};

// Errors: Cancelled, and as system calls gave them.
absl::StatusOr<TreeSize> MeasureTree(int tree_fd, const Cancellation& cancellation);

}  // namespace sluice
