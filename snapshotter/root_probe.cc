#include "snapshotter/root_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "glog/logging.h"
#include "snapshotter/path_layout.h"

namespace sluice {
namespace {

constexpr char kElsewhere[] = "put the root on ext4, xfs or btrfs of this host";

absl::Status Unfit(absl::string_view what, int error, absl::string_view mend) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", std::strerror(error), ": ", mend));
}

// overlayfs refuses whiteouts with the same EPERM as a missing capability.
absl::Status ProbeType(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return ErrnoStatus(errno, "fstatfs", "probe");
  if (info.f_type != OVERLAYFS_SUPER_MAGIC) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "is on overlayfs (a container's own file system?), which can't hold overlayfs layers: ", kElsewhere));
}

absl::Status ProbeWhiteout(int fd) {
  if (mknodat(fd, "whiteout", S_IFCHR, makedev(0, 0)) == 0) return absl::OkStatus();
  return Unfit("can't make a whiteout (character device 0:0)", errno,
               errno == EPERM ? "the process needs CAP_MKNOD in the host's user namespace" : kElsewhere);
}

absl::Status ProbeTrustedXattr(int fd) {
  if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) == 0) {
    fremovexattr(fd, "trusted.overlay.opaque");
    return absl::OkStatus();
  }
  return Unfit("can't set trusted.overlay.opaque", errno,
               errno == EPERM ? "the process needs CAP_SYS_ADMIN in the host's user namespace" : kElsewhere);
}

// Without file types in listings overlayfs can't tell whiteouts apart.
absl::Status ProbeFileTypes(int fd) {
  const int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = copy < 0 ? nullptr : fdopendir(copy);
  if (stream == nullptr) return ErrnoStatus(errno, "opendir", "probe");
  const absl::Cleanup close_stream = [stream] { closedir(stream); };
  while (const dirent* entry = readdir(stream)) {
    if (entry->d_type == DT_UNKNOWN) {
      return absl::FailedPreconditionError(
          absl::StrCat("directory listings have no file types (d_type): on xfs make it with ftype=1, or ", kElsewhere));
    }
  }
  return absl::OkStatus();
}

// The kernel says why in the log of the mount's context.
std::string KernelLog(int context_fd) {
  char line[512];
  const ssize_t length = read(context_fd, line, sizeof(line) - 1);
  if (length <= 0) return "";
  const std::string text(line, static_cast<size_t>(length));
  return absl::StrCat(" (", text.substr(0, text.find_last_not_of('\n') + 1), ")");
}

// The mount exists only as a descriptor, so nobody sees it and nothing is left of it.
absl::Status ProbeOverlay(int fd, const std::string& directory) {
  for (const char* name : {"lower", "upper", "work"}) {
    if (mkdirat(fd, name, 0700) != 0) return ErrnoStatus(errno, "mkdirat", name);
  }
  const UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context.valid()) {
    return Unfit("can't use overlayfs", errno, "the kernel needs overlayfs (modprobe overlay) and Linux 5.2");
  }
  for (const char* name : {"lower", "upper", "work"}) {
    const std::string option = absl::StrCat(name, "dir");
    const std::string path = absl::StrCat(directory, "/", name);
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, option.c_str(), path.c_str(), 0) != 0) {
      return Unfit(absl::StrCat("can't mount an overlay here", KernelLog(context.get())), errno, kElsewhere);
    }
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    const UniqueFd mounted(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (mounted.valid()) return absl::OkStatus();
  }
  const int error = errno;
  return Unfit(absl::StrCat("can't mount an overlay here", KernelLog(context.get())), error,
               absl::StrCat("nfs, fuse and some others can't hold overlayfs' upper directory: ", kElsewhere));
}

RootProbeReport MountOptions(int root_fd, const std::string& root) {
  RootProbeReport report;
  struct statvfs info;
  if (fstatvfs(root_fd, &info) != 0) return report;
  constexpr char kEffect[] = " in a snapshot that is a bind mount (an image of one layer, a build from scratch)";
  if ((info.f_flag & ST_NODEV) != 0) {
    report.warnings.push_back(absl::StrCat(root, " is mounted nodev: devices don't work", kEffect));
  }
  if ((info.f_flag & ST_NOSUID) != 0) {
    report.warnings.push_back(
        absl::StrCat(root, " is mounted nosuid: setuid programs and file capabilities don't work", kEffect));
  }
  if ((info.f_flag & ST_NOEXEC) != 0) {
    report.warnings.push_back(absl::StrCat(root, " is mounted noexec: programs don't run", kEffect));
  }
  return report;
}

}  // namespace

absl::StatusOr<RootProbeReport> ProbeRoot(int root_fd, const std::string& root) {
  const std::string name = absl::StrCat(StagingName(0), "-probe");
  RETURN_IF_ERROR(RemoveTreeAt(root_fd, name));
  if (mkdirat(root_fd, name.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdirat", absl::StrCat(root, "/", name));
  const absl::Cleanup remove = [root_fd, &name] {
    if (const absl::Status status = RemoveTreeAt(root_fd, name); !status.ok()) LOG(WARNING) << status.message();
  };
  const UniqueFd fd(openat(root_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "openat", name);

  const auto probe = [&]() -> absl::Status {
    RETURN_IF_ERROR(ProbeType(fd.get()));
    RETURN_IF_ERROR(ProbeWhiteout(fd.get()));
    RETURN_IF_ERROR(ProbeTrustedXattr(fd.get()));
    RETURN_IF_ERROR(ProbeFileTypes(fd.get()));
    return ProbeOverlay(fd.get(), absl::StrCat(root, "/", name));
  };
  if (const absl::Status status = probe(); !status.ok()) return Annotate(status, absl::StrCat("root: ", root));
  return MountOptions(root_fd, root);
}

}  // namespace sluice
