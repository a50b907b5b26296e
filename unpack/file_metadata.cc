#include "unpack/file_metadata.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr absl::string_view kSelinux = "security.selinux";
constexpr absl::string_view kAccessAcl = "system.posix_acl_access";
constexpr absl::string_view kDefaultAcl = "system.posix_acl_default";
constexpr mode_t kModeBits = 07777;

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  const int error = errno;
  return ErrnoStatus(error, operation, PrintableName(path));
}

// The l*xattr calls take a path: this one goes through our own descriptor of the directory and ends at the name, which
// they don't follow.
std::string PathOf(const FileRef& file) { return absl::StrCat("/proc/self/fd/", file.directory_fd, "/", file.name); }

int SetXattr(const FileRef& file, const ExtendedAttribute& xattr) {
  if (file.fd >= 0) return ::fsetxattr(file.fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0);
  return ::lsetxattr(PathOf(file).c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0);
}

ssize_t ListXattrs(const FileRef& file, char* buffer, size_t size) {
  if (file.fd >= 0) return ::flistxattr(file.fd, buffer, size);
  return ::llistxattr(PathOf(file).c_str(), buffer, size);
}

ssize_t GetXattr(const FileRef& file, const std::string& name, char* buffer, size_t size) {
  if (file.fd >= 0) return ::fgetxattr(file.fd, name.c_str(), buffer, size);
  return ::lgetxattr(PathOf(file).c_str(), name.c_str(), buffer, size);
}

bool IsNotSupported(int error) { return error == ENOTSUP || error == EOPNOTSUPP; }

absl::Status ApplyOwner(const FileRef& file, const FileMetadata& metadata, absl::string_view path) {
  const int result = file.fd >= 0
                         ? ::fchown(file.fd, metadata.uid, metadata.gid)
                         : ::fchownat(file.directory_fd, file.name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW);
  return result == 0 ? absl::OkStatus() : Failure("chown", path);
}

absl::Status ApplyXattrs(const FileRef& file, mode_t type, const FileMetadata& metadata, absl::string_view path,
                         std::vector<ExtendedAttribute>* refused) {
  for (const ExtendedAttribute& xattr : metadata.xattrs) {
    if (SetXattr(file, xattr) == 0) continue;
    // The kernel keeps user.* to files and directories.
    const bool wrong_type = errno == EPERM && absl::StartsWith(xattr.name, "user.") && !S_ISREG(type) && !S_ISDIR(type);
    if (IsNotSupported(errno) || wrong_type) continue;
    if (errno != EPERM || refused == nullptr) {
      return Failure(absl::StrCat("setxattr ", PrintableName(xattr.name)), path);
    }
    refused->push_back(xattr);
  }
  return absl::OkStatus();
}

absl::Status ApplyTimes(const FileRef& file, const FileMetadata& metadata, absl::string_view path) {
  const int result = file.fd >= 0
                         ? ::futimens(file.fd, metadata.times.data())
                         : ::utimensat(file.directory_fd, file.name, metadata.times.data(), AT_SYMLINK_NOFOLLOW);
  return result == 0 ? absl::OkStatus() : Failure("utimensat", path);
}

// Names of the extended attributes that are the file's and not the host's; empty where there are none or can't be.
absl::StatusOr<std::vector<std::string>> XattrNames(const FileRef& file, absl::string_view path) {
  std::string buffer;
  for (;;) {
    const ssize_t size = ListXattrs(file, nullptr, 0);
    if (size < 0 && IsNotSupported(errno)) return std::vector<std::string>();
    if (size < 0) return Failure("listxattr", path);
    if (size == 0) return std::vector<std::string>();
    buffer.resize(static_cast<size_t>(size));
    const ssize_t got = ListXattrs(file, buffer.data(), buffer.size());
    if (got < 0 && errno == ERANGE) continue;
    if (got < 0) return Failure("listxattr", path);
    buffer.resize(static_cast<size_t>(got));
    break;
  }
  std::vector<std::string> names;
  for (size_t at = 0; at < buffer.size();) {
    std::string name = buffer.c_str() + at;
    at += name.size() + 1;
    if (name != kSelinux && !absl::StartsWith(name, "trusted.overlay.")) names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<std::string> XattrValue(const FileRef& file, const std::string& name, absl::string_view path) {
  std::string value;
  for (;;) {
    const ssize_t size = GetXattr(file, name, nullptr, 0);
    if (size < 0) return Failure("getxattr", path);
    value.resize(static_cast<size_t>(size));
    if (size == 0) return value;
    const ssize_t got = GetXattr(file, name, value.data(), value.size());
    if (got < 0 && errno == ERANGE) continue;
    if (got < 0) return Failure("getxattr", path);
    value.resize(static_cast<size_t>(got));
    return value;
  }
}

}  // namespace

bool IsXattrFromImageKept(absl::string_view name) { return !absl::StartsWith(name, "trusted.") && name != kSelinux; }

absl::Status ApplyMetadata(const FileRef& file, const struct stat& current, const FileMetadata& metadata,
                           bool with_times, absl::string_view path, std::vector<ExtendedAttribute>* refused) {
  const bool other_owner = current.st_uid != metadata.uid || current.st_gid != metadata.gid;
  if (other_owner) RETURN_IF_ERROR(ApplyOwner(file, metadata, path));
  if (!metadata.xattrs.empty()) RETURN_IF_ERROR(ApplyXattrs(file, current.st_mode, metadata, path, refused));
  if (!S_ISLNK(current.st_mode)) {
    // A new owner takes setuid and setgid away, an ACL among the extended attributes may change the group's bits.
    const bool other_mode = (current.st_mode & kModeBits) != metadata.mode;
    const bool disturbed = (other_owner && (metadata.mode & (S_ISUID | S_ISGID)) != 0) || !metadata.xattrs.empty();
    if (other_mode || disturbed) RETURN_IF_ERROR(SetMode(file, metadata.mode, path));
  }
  return with_times ? ApplyTimes(file, metadata, path) : absl::OkStatus();
}

absl::Status SetMode(const FileRef& file, mode_t mode, absl::string_view path) {
  if (file.fd >= 0) return ::fchmod(file.fd, mode) == 0 ? absl::OkStatus() : Failure("fchmod", path);
  // fchmodat follows links; a descriptor of the very file doesn't, and doesn't open a device either.
  const UniqueFd fd(::openat(file.directory_fd, file.name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Failure("openat", path);
  const std::string self = absl::StrCat("/proc/self/fd/", fd.get());
  return ::chmod(self.c_str(), mode) == 0 ? absl::OkStatus() : Failure("chmod", path);
}

absl::Status RemoveXattr(const FileRef& file, const std::string& name, absl::string_view path) {
  const int result =
      file.fd >= 0 ? ::fremovexattr(file.fd, name.c_str()) : ::lremovexattr(PathOf(file).c_str(), name.c_str());
  if (result == 0 || errno == ENODATA || IsNotSupported(errno)) return absl::OkStatus();
  return Failure(absl::StrCat("removexattr ", PrintableName(name)), path);
}

absl::Status RemoveInheritedAcl(const FileRef& file, bool is_directory, absl::string_view path) {
  for (const absl::string_view name : {kAccessAcl, kDefaultAcl}) {
    if (name == kDefaultAcl && !is_directory) continue;
    RETURN_IF_ERROR(RemoveXattr(file, std::string(name), path));
  }
  return absl::OkStatus();
}

absl::StatusOr<FileMetadata> ReadMetadata(const FileRef& file, const struct stat& current, absl::string_view path) {
  FileMetadata metadata;
  metadata.mode = current.st_mode & kModeBits;
  metadata.uid = current.st_uid;
  metadata.gid = current.st_gid;
  metadata.times = {current.st_atim, current.st_mtim};
  ASSIGN_OR_RETURN(std::vector<std::string> names, XattrNames(file, path));
  for (std::string& name : names) {
    ASSIGN_OR_RETURN(std::string value, XattrValue(file, name, path));
    metadata.xattrs.push_back({std::move(name), std::move(value)});
  }
  return metadata;
}

absl::Status RemoveOtherXattrs(int directory_fd, const FileMetadata& metadata, absl::string_view path) {
  const FileRef file{.directory_fd = -1, .name = nullptr, .fd = directory_fd};
  ASSIGN_OR_RETURN(const std::vector<std::string> names, XattrNames(file, path));
  for (const std::string& name : names) {
    const bool kept = std::any_of(metadata.xattrs.begin(), metadata.xattrs.end(),
                                  [&name](const ExtendedAttribute& xattr) { return xattr.name == name; });
    if (!kept) RETURN_IF_ERROR(RemoveXattr(file, name, path));
  }
  return absl::OkStatus();
}

}  // namespace sluice
