#include "tests/testing/file_mount.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cerrno>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace sluice::testing {
namespace {

constexpr int kAttempts = 100;

absl::Status EnterOwnMountNamespace() {
  if (::unshare(CLONE_NEWNS) != 0) return ErrnoStatus(errno, "unshare", "mount namespace");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return ErrnoStatus(errno, "mount", "/");
  return absl::OkStatus();
}

// Others may be faster to take the device that is free.
absl::StatusOr<std::string> AttachLoop(int file, UniqueFd& device) {
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return ErrnoStatus(errno, "open", "/dev/loop-control");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return ErrnoStatus(errno, "ioctl", "LOOP_CTL_GET_FREE");
    const std::string path = absl::StrCat("/dev/loop", number);
    device.Reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!device.valid()) return ErrnoStatus(errno, "open", path);
    loop_config config = {};
    config.fd = static_cast<uint32_t>(file);
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    if (::ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return path;
    if (errno != EBUSY) return ErrnoStatus(errno, "ioctl", "LOOP_CONFIGURE");
  }
  return absl::UnavailableError("no loop device is free");
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileMount>> FileMount::Create(const std::string& file, const std::string& type) {
  static const absl::Status entered = EnterOwnMountNamespace();
  RETURN_IF_ERROR(entered);
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", file);
  UniqueFd device;
  ASSIGN_OR_RETURN(const std::string path, AttachLoop(fd.get(), device));
  std::unique_ptr<FileMount> mount(new FileMount);
  if (::mount(path.c_str(), mount->path().c_str(), type.c_str(), MS_RDONLY, nullptr) != 0) {
    return ErrnoStatus(errno, "mount", absl::StrCat(file, " as ", type));
  }
  mount->mounted_ = true;
  return mount;
}

absl::StatusOr<std::unique_ptr<FileMount>> FileMount::CreateTmpfs(int64_t bytes) {
  static const absl::Status entered = EnterOwnMountNamespace();
  RETURN_IF_ERROR(entered);
  std::unique_ptr<FileMount> mount(new FileMount);
  const std::string options = absl::StrCat("mode=0777,size=", bytes);
  if (::mount("none", mount->path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    return ErrnoStatus(errno, "mount", "tmpfs");
  }
  mount->mounted_ = true;
  return mount;
}

FileMount::~FileMount() {
  // Detached: a descriptor that a failed test left open must not keep the mount.
  if (mounted_ && ::umount2(path().c_str(), MNT_DETACH) != 0) {
    std::cerr << ErrnoStatus(errno, "umount", path()).message() << std::endl;
  }
}

}  // namespace sluice::testing
