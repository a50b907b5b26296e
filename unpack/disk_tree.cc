#include "unpack/disk_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "unpack/disk_file.h"
#include "unpack/disk_usage.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr int64_t kBlockBytes = 512;
constexpr mode_t kPermissions = 0777;

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  const int error = errno;
  return ErrnoStatus(error, operation, PrintableName(path));
}

bool HasDefaultAcl(const FileMetadata& metadata) {
  return std::any_of(metadata.xattrs.begin(), metadata.xattrs.end(),
                     [](const ExtendedAttribute& xattr) { return xattr.name == "system.posix_acl_default"; });
}

}  // namespace

DiskTree::DiskTree(int root_fd, MetadataPolicy& policy) : policy_(policy), directories_(RootedDirectory(root_fd)) {
  struct stat attributes {};
  if (::fstat(root_fd, &attributes) == 0) blocks_ = attributes.st_blocks;
}

absl::StatusOr<bool> DiskTree::IsDirectory(absl::string_view path) {
  ASSIGN_OR_RETURN(const OpenDirectory* const directory, Open(path));
  return directory != nullptr;
}

absl::StatusOr<bool> DiskTree::Stat(absl::string_view path, struct stat& attributes) {
  const auto [directory, name] = SplitPath(path);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, Open(directory));
  if (parent == nullptr) return false;
  if (::fstatat(parent->fd.get(), std::string(name).c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  return Failure("fstatat", path);
}

absl::StatusOr<std::string> DiskTree::ReadLink(absl::string_view path) {
  const auto [directory, name] = SplitPath(path);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(directory));
  std::array<char, PATH_MAX> text;
  const ssize_t size = ::readlinkat(parent->fd.get(), std::string(name).c_str(), text.data(), text.size());
  if (size < 0) return Failure("readlinkat", path);
  return std::string(text.data(), static_cast<size_t>(size));
}

absl::StatusOr<std::vector<DirectoryName>> DiskTree::SomeNames(absl::string_view directory) {
  ASSIGN_OR_RETURN(const OpenDirectory* const opened, OpenExisting(directory));
  return SomeNamesIn(opened->fd.get(), directory);
}

absl::StatusOr<FileMetadata> DiskTree::ReadDirectory(absl::string_view path) {
  ASSIGN_OR_RETURN(const OpenDirectory* const directory, OpenExisting(path));
  struct stat attributes {};
  if (::fstat(directory->fd.get(), &attributes) != 0) return Failure("fstat", path);
  ASSIGN_OR_RETURN(FileMetadata metadata, policy_.Read(FileRef{.fd = directory->fd.get()}, attributes, path));
  // Not those of the work in it.
  metadata.times = directory->times;
  return metadata;
}

absl::Status DiskTree::MakeDirectory(absl::string_view path, const FileMetadata& metadata) {
  if (HasDefaultAcl(metadata)) default_acl_seen_ = true;
  const auto [directory, base] = SplitPath(path);
  const std::string name(base);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(directory));
  // Its own mode might shut us out.
  if (::mkdirat(parent->fd.get(), name.c_str(), S_IRWXU | (metadata.mode & kPermissions)) != 0) {
    return Failure("mkdirat", path);
  }
  UniqueFd fd(::openat(parent->fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Failure("openat", path);
  const FileRef file{.fd = fd.get()};
  if (default_acl_seen_) RETURN_IF_ERROR(RemoveInheritedAcl(file, true, path));
  struct stat attributes {};
  if (::fstat(fd.get(), &attributes) != 0) return Failure("fstat", path);
  policy_.Made(attributes, S_IFDIR, 0);
  RETURN_IF_ERROR(policy_.Apply(file, attributes, metadata, false, path));
  ++inodes_;
  return directories_.Add(path, std::move(fd), metadata.times).status();
}

absl::Status DiskTree::SetDirectory(absl::string_view path, const FileMetadata& metadata, bool all_xattrs) {
  if (HasDefaultAcl(metadata)) default_acl_seen_ = true;
  ASSIGN_OR_RETURN(OpenDirectory* const directory, OpenExisting(path));
  const int fd = directory->fd.get();
  if (all_xattrs) RETURN_IF_ERROR(policy_.RemoveOtherXattrs(fd, metadata, path));
  struct stat attributes {};
  if (::fstat(fd, &attributes) != 0) return Failure("fstat", path);
  directory->times = metadata.times;
  return policy_.Apply(FileRef{.fd = fd}, attributes, metadata, false, path);
}

absl::StatusOr<bool> DiskTree::MakeFile(absl::string_view path, const TarEntry& entry, ContentSource content) {
  const auto [directory, base] = SplitPath(path);
  const std::string name(base);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(directory));
  DiskFile file(parent->fd.get(), name, path, policy_);
  ASSIGN_OR_RETURN(const bool made, file.Make(entry, content));
  if (!made) return false;
  ASSIGN_OR_RETURN(const struct stat attributes, file.Finish(entry, default_acl_seen_));
  CountNew(attributes);
  return true;
}

absl::Status DiskTree::MakeHardLink(absl::string_view path, absl::string_view target, const FileMetadata& metadata) {
  const auto [to_directory, to_base] = SplitPath(path);
  const auto [from_directory, from_base] = SplitPath(target);
  const std::string name(to_base);
  ASSIGN_OR_RETURN(const OpenDirectory* const from, OpenExisting(from_directory));
  ASSIGN_OR_RETURN(const OpenDirectory* const to, OpenExisting(to_directory));
  if (::linkat(from->fd.get(), std::string(from_base).c_str(), to->fd.get(), name.c_str(), 0) != 0) {
    const int error = errno;
    return ErrnoStatus(error, "linkat", absl::StrCat(PrintableName(target), ", ", PrintableName(path)));
  }
  const FileRef file{to->fd.get(), name.c_str(), -1};
  struct stat attributes {};
  if (::fstatat(file.directory_fd, file.name, &attributes, AT_SYMLINK_NOFOLLOW) != 0) return Failure("fstatat", path);
  return policy_.Apply(file, attributes, metadata, true, path);
}

absl::Status DiskTree::Remove(absl::string_view path) {
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, Stat(path, attributes));
  if (!exists) return absl::OkStatus();
  const auto [directory, name] = SplitPath(path);
  if (S_ISDIR(attributes.st_mode)) {
    RETURN_IF_ERROR(directories_.Flush());
    recount_ = true;
    ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(directory));
    return RemoveTreeAt(parent->fd.get(), name);
  }
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(directory));
  if (::unlinkat(parent->fd.get(), std::string(name).c_str(), 0) != 0) return Failure("unlinkat", path);
  if (attributes.st_nlink > 1) return absl::OkStatus();
  blocks_ -= attributes.st_blocks;
  --inodes_;
  return absl::OkStatus();
}

absl::Status DiskTree::Rename(absl::string_view from, absl::string_view to) {
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(from));
  if (is_directory) RETURN_IF_ERROR(directories_.Flush());
  const auto [from_directory, from_name] = SplitPath(from);
  const auto [to_directory, to_name] = SplitPath(to);
  ASSIGN_OR_RETURN(const OpenDirectory* const source, OpenExisting(from_directory));
  ASSIGN_OR_RETURN(const OpenDirectory* const target, OpenExisting(to_directory));
  if (::renameat(source->fd.get(), std::string(from_name).c_str(), target->fd.get(), std::string(to_name).c_str()) !=
      0) {
    const int error = errno;
    return ErrnoStatus(error, "renameat", absl::StrCat(PrintableName(from), ", ", PrintableName(to)));
  }
  return absl::OkStatus();
}

absl::StatusOr<OpenDirectory*> DiskTree::OpenExisting(absl::string_view path) {
  ASSIGN_OR_RETURN(OpenDirectory* const directory, Open(path));
  if (directory != nullptr) return directory;
  return absl::InternalError(absl::StrCat(PrintableName(path), ": the directory has vanished"));
}

void DiskTree::CountNew(const struct stat& attributes) {
  blocks_ += attributes.st_blocks;
  ++inodes_;
}

absl::StatusOr<DiskTree::Usage> DiskTree::FinishUsage() {
  RETURN_IF_ERROR(directories_.Flush());
  if (!recount_) return Usage{(blocks_ + directories_.blocks()) * kBlockBytes, inodes_};
  ASSIGN_OR_RETURN(const DiskUsage usage, CountDiskUsage(directories_.root()));
  return Usage{usage.bytes, usage.inodes};
}

}  // namespace sluice
