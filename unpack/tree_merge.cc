#include "unpack/tree_merge.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "unpack/directory_names.h"
#include "unpack/entry_name.h"
#include "unpack/file_metadata.h"

namespace sluice {
namespace {

absl::StatusOr<OpenDirectory*> OpenExisting(DirectoryCache& cache, absl::string_view path) {
  ASSIGN_OR_RETURN(OpenDirectory* const directory, cache.Open(path));
  if (directory != nullptr) return directory;
  return absl::InternalError(absl::StrCat(PrintableName(path), ": the directory has vanished"));
}

}  // namespace

absl::Status TreeMerge::MergeDirectory(const std::string& path) {
  for (;;) {
    ASSIGN_OR_RETURN(const OpenDirectory* const source, OpenExisting(layer_, path));
    ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, SomeNamesIn(source->fd.get(), path));
    if (names.empty()) return absl::OkStatus();
    for (const DirectoryName& entry : names) {
      RETURN_IF_ERROR(interruption_.Check());
      const std::string entry_path = JoinPath(path, entry.name);
      RETURN_IF_ERROR(entry.is_directory ? MoveDirectory(entry_path) : MoveFile(entry_path));
    }
  }
}

absl::Status TreeMerge::MoveFile(const std::string& path) {
  ASSIGN_OR_RETURN(int error, Rename(path));
  if (error == EISDIR) {
    RETURN_IF_ERROR(RemoveFromTree(path));
    ASSIGN_OR_RETURN(error, Rename(path));
  }
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "renameat", PrintableName(path));
}

absl::Status TreeMerge::MoveDirectory(const std::string& path) {
  const auto [directory, name] = SplitPath(path);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(tree_, directory));
  struct stat attributes {};
  // A rename would take the place of an empty directory without a word, even of one that is open.
  const bool exists = ::fstatat(parent->fd.get(), std::string(name).c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT) return ErrnoStatus(errno, "fstatat", PrintableName(path));
  if (exists && S_ISDIR(attributes.st_mode)) {
    RETURN_IF_ERROR(CopyAttributes(path));
    RETURN_IF_ERROR(MergeDirectory(path));
    RETURN_IF_ERROR(layer_.Flush());
    ASSIGN_OR_RETURN(const OpenDirectory* const source_parent, OpenExisting(layer_, directory));
    return RemoveTreeAt(source_parent->fd.get(), name);
  }
  if (exists) RETURN_IF_ERROR(RemoveFromTree(path));
  ASSIGN_OR_RETURN(const int error, Rename(path));
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "renameat", PrintableName(path));
}

absl::StatusOr<int> TreeMerge::Rename(const std::string& path) {
  const auto [directory, base] = SplitPath(path);
  const std::string name(base);
  ASSIGN_OR_RETURN(const OpenDirectory* const from, OpenExisting(layer_, directory));
  ASSIGN_OR_RETURN(const OpenDirectory* const to, OpenExisting(tree_, directory));
  return ::renameat(from->fd.get(), name.c_str(), to->fd.get(), name.c_str()) == 0 ? 0 : errno;
}

absl::Status TreeMerge::RemoveFromTree(const std::string& path) {
  RETURN_IF_ERROR(tree_.Flush());
  const auto [directory, name] = SplitPath(path);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, OpenExisting(tree_, directory));
  return RemoveTreeAt(parent->fd.get(), name);
}

absl::Status TreeMerge::CopyAttributes(const std::string& path) {
  ASSIGN_OR_RETURN(const OpenDirectory* const from, OpenExisting(layer_, path));
  ASSIGN_OR_RETURN(OpenDirectory* const to, OpenExisting(tree_, path));
  struct stat from_stat {};
  struct stat to_stat {};
  if (::fstat(from->fd.get(), &from_stat) != 0 || ::fstat(to->fd.get(), &to_stat) != 0) {
    return ErrnoStatus(errno, "fstat", PrintableName(path));
  }
  ASSIGN_OR_RETURN(FileMetadata metadata, policy_.Read(FileRef{.fd = from->fd.get()}, from_stat, path));
  // Reading the directory may have changed its access time already.
  metadata.times = from->times;
  RETURN_IF_ERROR(policy_.RemoveOtherXattrs(to->fd.get(), metadata, path));
  to->times = metadata.times;
  return policy_.Apply(FileRef{.fd = to->fd.get()}, to_stat, metadata, false, path);
}

}  // namespace sluice
