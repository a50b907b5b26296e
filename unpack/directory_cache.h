// The directories of a tree under construction that are being written to, held open, so that an entry costs no path
// walk and a directory ends with the times it is to have, however often something was made in it.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <list>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/rooted_directory.h"
#include "base/unique_fd.h"

namespace sluice {

struct OpenDirectory {
  std::string path;  // below the root, "" is the root itself
  UniqueFd fd;
  std::array<timespec, 2> times = {};  // access, modification: what the directory gets when it is let go
  int64_t counted_blocks = 0;          // of 512 bytes, already in the cache's sum
};

// One thread at a time. No list of all directories is kept for the last pass over times that other unpackers make: a
// directory's times are noted when it is opened and put back when it is let go, so memory does not grow with the layer.
class DirectoryCache {
 public:
  // A pointer that a call gave stays valid while fewer than this many other directories are opened.
  static constexpr size_t kCapacity = 64;

  explicit DirectoryCache(RootedDirectory root) : root_(root) {}

  // The directory at `path`, which no symlink leads to; null if there is none, or something else.
  absl::StatusOr<OpenDirectory*> Open(absl::string_view path);
  // Takes a directory that was just made and is to have `times`.
  absl::StatusOr<OpenDirectory*> Add(absl::string_view path, UniqueFd fd, const std::array<timespec, 2>& times);

  // Lets all go. REQUIRED before a directory is renamed or removed, and at the end.
  absl::Status Flush();

  const RootedDirectory& root() const { return root_; }
  // Blocks of the directories that were added, and the growth of the opened ones; up to date after Flush().
  int64_t blocks() const { return blocks_; }

 private:
  using Entries = std::list<OpenDirectory>;  // most recently used first
  // A long path costs one step where its parent is open.
  UniqueFd OpenUncached(absl::string_view path) const;
  absl::StatusOr<OpenDirectory*> Insert(OpenDirectory directory);
  absl::Status LetGo(OpenDirectory& directory);

  const RootedDirectory root_;
  Entries entries_;
  absl::flat_hash_map<absl::string_view, Entries::iterator> by_path_;  // keys point into entries_
  int64_t blocks_ = 0;
};

}  // namespace sluice
