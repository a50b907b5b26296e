#include "unpack/disk_file.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr mode_t kPermissions = 0777;

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  const int error = errno;
  return ErrnoStatus(error, operation, PrintableName(path));
}

mode_t NodeType(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kCharDevice:
      return S_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return S_IFBLK;
    case TarEntry::Type::kFifo:
      return S_IFIFO;
    default:
      return 0;
  }
}

}  // namespace

absl::StatusOr<bool> DiskFile::Make(const TarEntry& entry, ContentSource content) {
  const mode_t permissions = entry.metadata.mode & kPermissions;
  switch (entry.type) {
    case TarEntry::Type::kFile: {
      const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
      fd_.Reset(::openat(directory_fd_, name_.c_str(), flags, permissions));
      ASSIGN_OR_RETURN(const bool made, Made(fd_.get(), "openat"));
      if (made) RETURN_IF_ERROR(WriteContent(entry, content));
      return made;
    }
    case TarEntry::Type::kSymlink:
      return Made(::symlinkat(entry.link.c_str(), directory_fd_, name_.c_str()), "symlinkat");
    case TarEntry::Type::kCharDevice:
    case TarEntry::Type::kBlockDevice:
      device_ = ::makedev(entry.device_major, entry.device_minor);
      [[fallthrough]];
    case TarEntry::Type::kFifo:
      type_ = NodeType(entry.type);
      return Made(policy_.MakeNode(directory_fd_, name_.c_str(), type_ | permissions, device_), "mknodat");
    case TarEntry::Type::kDirectory:
    case TarEntry::Type::kHardLink:
      break;
  }
  return absl::InternalError(absl::StrCat(PrintableName(path_), ": not a file that can be made"));
}

absl::StatusOr<bool> DiskFile::Made(int result, absl::string_view operation) const {
  if (result >= 0) return true;
  if (errno == EEXIST) return false;
  return Failure(operation, path_);
}

absl::Status DiskFile::WriteContent(const TarEntry& entry, ContentSource content) {
  int64_t end = 0;
  for (;;) {
    ASSIGN_OR_RETURN(TarReader::Block block, content());
    if (block.data.empty()) break;
    while (!block.data.empty()) {
      const ssize_t written = ::pwrite(fd_.get(), block.data.data(), block.data.size(), block.offset);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Failure("pwrite", path_);
      block.data.remove_prefix(static_cast<size_t>(written));
      block.offset += written;
    }
    end = std::max(end, block.offset);
  }
  // A hole at the end, or nothing but holes.
  if (end < entry.size && ::ftruncate(fd_.get(), entry.size) != 0) return Failure("ftruncate", path_);
  return absl::OkStatus();
}

absl::StatusOr<struct stat> DiskFile::Finish(const TarEntry& entry, bool may_have_inherited_acl) {
  const FileRef file{directory_fd_, name_.c_str(), fd_.get()};
  if (may_have_inherited_acl && entry.type != TarEntry::Type::kSymlink) {
    RETURN_IF_ERROR(RemoveInheritedAcl(file, false, path_));
  }
  struct stat attributes {};
  const int result = fd_.valid() ? ::fstat(fd_.get(), &attributes)
                                 : ::fstatat(directory_fd_, name_.c_str(), &attributes, AT_SYMLINK_NOFOLLOW);
  if (result != 0) return Failure("fstat", path_);
  policy_.Made(attributes, type_, device_);
  RETURN_IF_ERROR(policy_.Apply(file, attributes, entry.metadata, true, path_));
  return attributes;
}

}  // namespace sluice
