// A disk image of a tree, made by Debian's mkfs programs: always the same bytes from the same tree and seed.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "cmd/fakeroot_state.h"

namespace sluice {

// The name of the tree in the directory.
inline constexpr char kTreeName[] = "tree";

struct DiskSource {
  // The directory with the tree in it, and the tree, open; borrowed.
  int directory_fd = -1;
  int tree_fd = -1;
  // What an ordinary user's tree has not on the disk; null for root's.
  const FakerootState* fakeroot = nullptr;
  // Of the root directory, which fakeroot can't tell mkfs.ext4.
  mode_t root_mode = 0755;
  uid_t root_uid = 0;
  gid_t root_gid = 0;
  // The image's UUID and hash seed are made of it.
  Digest seed;
};

// "0123abcd-…", made of a digest.
std::string UuidOf(const Digest& digest);

// Write the image to the empty file `path`, absolute, which is open as `fd`. Errors name the program that failed;
// NotFound: one is not installed; Cancelled.
//
// Compressed (lz4), read-only. mkfs.erofs knows better than to copy what is called "lost+found": the paths of empty
// directories that are not in the image are given back, with anything else it is FailedPrecondition.
absl::StatusOr<std::vector<std::string>> MakeErofs(const DiskSource& source, const std::string& path,
                                                   const Cancellation& cancellation);
// With as much room as the tree takes and some more; no journal unless asked for.
absl::Status MakeExt4(const DiskSource& source, const std::string& path, int fd, bool journal,
                      const Cancellation& cancellation);

}  // namespace sluice
