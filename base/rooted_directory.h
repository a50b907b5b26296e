// Opens what lies below a directory without ever leaving it (openat2(2), RESOLVE_IN_ROOT).
#pragma once

#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace sluice {

// Const methods only; any thread.
class RootedDirectory {
 public:
  // How names are walked. kKernel is openat2, and falls back to kComponents where the kernel or a seccomp filter does
  // not have it; kComponents is for tests of that fall-back.
  enum class Walk { kKernel, kComponents };

  // `fd` is a directory, borrowed.
  explicit RootedDirectory(int fd, Walk walk = Walk::kKernel) : fd_(fd), walk_(walk) {}

  // Opens `path`, relative, any length; empty is the directory itself. No component may be a symlink, the last one only
  // with O_PATH | O_NOFOLLOW in `flags`; "." and ".." are refused with EINVAL. O_CLOEXEC is implied.
  // Invalid with errno on failure: ENOENT; ELOOP or ENOTDIR where a component is not a directory.
  UniqueFd Open(absl::string_view path, int flags) const;

  int fd() const { return fd_; }

 private:
  int fd_;
  Walk walk_;
};

}  // namespace sluice
