// Visits all that is in a directory tree, without ever following a link out of it.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/rooted_directory.h"

namespace sluice {

// Used once, by one thread. The tree must not change meanwhile, but for what the callbacks do to what they are given.
// Only one directory is open at a time, however deep the tree; memory grows with its depth.
class TreeWalk {
 public:
  struct Entry {
    int directory_fd;        // of the directory it is in
    const char* name;        // there; "." is the root itself
    absl::string_view path;  // below the root, "" is the root itself
    struct stat attributes;  // not followed
  };
  // A directory comes before what is in it, the root first.
  using Visit = absl::FunctionRef<absl::Status(const Entry& entry)>;
  // A directory whose content was visited.
  using Leave = absl::FunctionRef<absl::Status(int directory_fd, absl::string_view path)>;

  // `root` is borrowed.
  explicit TreeWalk(const RootedDirectory& root) : root_(root) {}

  // Errors: the callbacks', which end the walk, and those of system calls, naming the path.
  absl::Status Run(Visit visit, Leave leave);

 private:
  struct Level {
    size_t path_size;  // of this directory's path
    off_t position;    // where to read on in it
  };

  absl::Status ReadOn(Visit visit, Leave leave);

  const RootedDirectory& root_;
  std::string path_;
  std::vector<Level> levels_;
  std::vector<char> buffer_ = std::vector<char>(size_t{32} << 10);  // aligned for dirent64, as operator new gives it
};

}  // namespace sluice
