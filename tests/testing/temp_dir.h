// A directory of a test's own, removed with all that is in it when the test leaves the scope.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace sluice::testing {

// The path is short ("/tmp/sluice-a1B2c3"), so that a Unix socket fits in: Bazel's own TEST_TMPDIR is too long for one.
// A directory that can't be made ends the test program with a message. One thread at a time.
class TempDir {
 public:
  enum class Place {
    kDisk,    // /tmp
    kMemory,  // /dev/shm, a tmpfs: for trees of many small files
  };

  explicit TempDir(Place place = Place::kDisk);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // path() + "/" + `name`.
  std::string At(absl::string_view name) const;
  // Makes the directory At(`name`), one level, mode 0755, and returns its path.
  std::string MakeDirectory(absl::string_view name) const;
  // The directory itself, open; owned here.
  int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace sluice::testing
