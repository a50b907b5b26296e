// A disk image, or an empty tmpfs, mounted.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Unmounted by the destructor. As OverlayMount, in a mount namespace of the calling thread's own: call it from the main
// thread before others start. Needs root. One thread at a time.
class FileMount {
 public:
  // The image `file` with a file system `type`, read-only, on a loop device that goes with the mount.
  static absl::StatusOr<std::unique_ptr<FileMount>> Create(const std::string& file, const std::string& type);
  // A tmpfs of `bytes`, for everybody to write in.
  static absl::StatusOr<std::unique_ptr<FileMount>> CreateTmpfs(int64_t bytes);
  ~FileMount();
  FileMount(const FileMount&) = delete;
  FileMount& operator=(const FileMount&) = delete;

  // Where it is mounted.
  const std::string& path() const { return target_.path(); }

 private:
  FileMount() = default;

  TempDir target_;
  bool mounted_ = false;
};

}  // namespace sluice::testing
