#include "tests/testing/overlay_mount.h"

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice::testing {
namespace {

absl::Status Mount(const std::string& source, const std::string& target, const char* type, unsigned long flags,
                   const std::string& options) {
  if (::mount(source.c_str(), target.c_str(), type, flags, options.c_str()) == 0) return absl::OkStatus();
  const int error = errno;
  return ErrnoStatus(error, "mount", absl::StrCat(source, " on ", target, " ", options));
}

absl::Status EnterOwnMountNamespace() {
  if (::unshare(CLONE_NEWNS) != 0) {
    const int error = errno;
    return ErrnoStatus(error, "unshare", "mount namespace");
  }
  return Mount("none", "/", nullptr, MS_REC | MS_PRIVATE, "");
}

}  // namespace

absl::StatusOr<std::unique_ptr<OverlayMount>> OverlayMount::Create(absl::Span<const std::string> lower_directories) {
  static const absl::Status entered = EnterOwnMountNamespace();
  RETURN_IF_ERROR(entered);
  if (lower_directories.empty()) return absl::InvalidArgumentError("overlay: no lower directory");
  std::unique_ptr<OverlayMount> mount(new OverlayMount);
  if (lower_directories.size() == 1) {
    RETURN_IF_ERROR(Mount(lower_directories[0], mount->path(), nullptr, MS_BIND, ""));
  } else {
    const std::string options = absl::StrCat("index=off,lowerdir=", absl::StrJoin(lower_directories, ":"));
    RETURN_IF_ERROR(Mount("overlay", mount->path(), "overlay", MS_RDONLY, options));
  }
  mount->mounted_ = true;
  return mount;
}

OverlayMount::~OverlayMount() {
  // Detached: a descriptor that a failed test left open must not keep the mount.
  if (mounted_ && ::umount2(path().c_str(), MNT_DETACH) != 0) {
    std::cerr << ErrnoStatus(errno, "umount", path()).message() << std::endl;
  }
}

}  // namespace sluice::testing
