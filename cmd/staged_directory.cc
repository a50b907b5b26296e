#include "cmd/staged_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "cmd/directory_names.h"

namespace sluice {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && absl::EndsWith(path, "/")) path.pop_back();
  return path;
}

absl::Status NotEmpty(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": not empty: an image goes into a new or an empty directory"));
}

absl::StatusOr<bool> HasOnlyStagings(int directory_fd, const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(directory_fd, path));
  return std::all_of(names.begin(), names.end(), IsStagedName);
}

// What killed runs left does not count and is removed, unless there is more: then it marks what they had moved up.
absl::Status MakeEmpty(int directory_fd, const std::string& path, const Cancellation* cancellation) {
  ASSIGN_OR_RETURN(const bool only_stagings, HasOnlyStagings(directory_fd, path));
  if (!only_stagings) return NotEmpty(path);
  RemoveAbandoned(directory_fd, cancellation);
  return absl::OkStatus();
}

// Of two runs that want the directory at the same time, at most one finds only its own staging directory.
absl::Status CheckAlone(int directory_fd, const std::string& staging, const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(directory_fd, path));
  if (names == std::vector<std::string>{staging}) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, ": not empty: another run is filling it, or was killed"));
}

absl::StatusOr<struct stat> StatOf(int fd, const std::string& path) {
  struct stat attributes = {};
  if (fstat(fd, &attributes) != 0) return ErrnoStatus(errno, "fstat", path);
  return attributes;
}

absl::StatusOr<FileMetadata> MetadataOf(int fd, const std::string& path) {
  ASSIGN_OR_RETURN(const struct stat attributes, StatOf(fd, path));
  return ReadMetadata({.fd = fd}, attributes, path);
}

absl::Status SetMetadata(int fd, const FileMetadata& metadata, const std::string& path) {
  ASSIGN_OR_RETURN(const struct stat attributes, StatOf(fd, path));
  return ApplyMetadata({.fd = fd}, attributes, metadata, /*with_times=*/true, path);
}

int RenameToNewName(int from_fd, const std::string& from, int to_fd, const std::string& to) {
  const int result = renameat2(from_fd, from.c_str(), to_fd, to.c_str(), RENAME_NOREPLACE);
  // Some network file systems don't know the flag. Without it a directory still replaces nothing but an empty one.
  if (result == 0 || errno != EINVAL) return result;
  return renameat(from_fd, from.c_str(), to_fd, to.c_str());
}

// A directory that its owner may not write to does not move, unless for root: its ".." would change.
int RenameUnwritable(int from_fd, const std::string& name, int to_fd) {
  struct stat attributes = {};
  if (fstatat(from_fd, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (!S_ISDIR(attributes.st_mode)) return errno = EACCES, -1;
  if (fchmodat(from_fd, name.c_str(), S_IRWXU, 0) != 0) return -1;
  if (RenameToNewName(from_fd, name, to_fd, name) != 0) return -1;
  return fchmodat(to_fd, name.c_str(), attributes.st_mode & 07777, 0);
}

}  // namespace

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& path, const Cancellation* cancellation) {
  StagedDirectory staged;
  staged.path_ = WithoutTrailingSlashes(path);
  staged.parent_.Reset(open(staged.path_.c_str(), kOpenDirectory));
  if (staged.parent_.valid()) {
    RETURN_IF_ERROR(MakeEmpty(staged.parent_.get(), path, cancellation));
    ASSIGN_OR_RETURN(staged.before_, MetadataOf(staged.parent_.get(), path));
  } else if (errno == ENOTDIR) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a directory"));
  } else if (errno != ENOENT) {
    return ErrnoStatus(errno, "open", path);
  } else {
    RETURN_IF_ERROR(staged.OpenParent());
    RemoveAbandoned(staged.parent_.get(), cancellation);
  }
  absl::StatusOr<Staging> staging = StageDirectory(staged.parent_.get());
  if (!staging.ok()) return Annotate(staging.status(), path);
  staged.staging_ = *std::move(staging);
  if (staged.in_place()) RETURN_IF_ERROR(CheckAlone(staged.parent_.get(), staged.staging_.name, path));
  return staged;
}

absl::StatusOr<StagedDirectory> StagedDirectory::CreateScratch(const std::string& parent,
                                                               const Cancellation* cancellation) {
  StagedDirectory staged;
  staged.path_ = parent;
  staged.parent_.Reset(open(parent.c_str(), kOpenDirectory));
  if (!staged.parent_.valid()) return ErrnoStatus(errno, "open", parent);
  RemoveAbandoned(staged.parent_.get(), cancellation);
  absl::StatusOr<Staging> staging = StageDirectory(staged.parent_.get());
  if (!staging.ok()) return Annotate(staging.status(), parent);
  staged.staging_ = *std::move(staging);
  staged.name_ = staged.staging_.name;
  return staged;
}

absl::Status StagedDirectory::OpenParent() {
  if (path_.empty()) return absl::NotFoundError("a directory without a name");
  struct stat link = {};
  if (lstat(path_.c_str(), &link) == 0) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": a link to nowhere"));
  }
  const size_t slash = path_.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  name_ = path_.substr(slash == std::string::npos ? 0 : slash + 1);
  parent_.Reset(open(parent.c_str(), kOpenDirectory));
  if (parent_.valid()) return absl::OkStatus();
  return Annotate(ErrnoStatus(errno, "open", parent), absl::StrCat(path_, ": its parent directory"));
}

StagedDirectory::~StagedDirectory() {
  if (!published_) Discard().IgnoreError();
}

absl::Status StagedDirectory::Publish() {
  if (in_place()) {
    RETURN_IF_ERROR(PublishInPlace());
  } else {
    if (RenameToNewName(parent_.get(), staging_.name, parent_.get(), name_) != 0) {
      return ErrnoStatus(errno, "rename", path_);
    }
    staging_.name = name_;
  }
  published_ = true;
  return absl::OkStatus();
}

absl::Status StagedDirectory::PublishInPlace() {
  const int parent = parent_.get();
  ASSIGN_OR_RETURN(const bool only_stagings, HasOnlyStagings(parent, path_));
  if (!only_stagings) return absl::AlreadyExistsError(absl::StrCat(path_, ": not empty any more"));
  ASSIGN_OR_RETURN(const FileMetadata metadata, MetadataOf(fd(), path_));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fd(), path_));
  for (const std::string& name : names) RETURN_IF_ERROR(MoveUp(name));
  if (unlinkat(parent, staging_.name.c_str(), AT_REMOVEDIR) != 0) return ErrnoStatus(errno, "rmdir", staging_.name);
  return SetMetadata(parent, metadata, path_);
}

absl::Status StagedDirectory::MoveUp(const std::string& name) {
  int result = RenameToNewName(fd(), name, parent_.get(), name);
  if (result != 0 && errno == EACCES) result = RenameUnwritable(fd(), name, parent_.get());
  if (result != 0) return ErrnoStatus(errno, "rename", absl::StrCat(path_, "/", name));
  moved_.push_back(name);
  return absl::OkStatus();
}

absl::Status StagedDirectory::Discard() {
  if (!staging_.fd.valid()) return absl::OkStatus();
  absl::Status status = RemoveTreeAt(parent_.get(), staging_.name);
  if (in_place()) {
    const absl::Status restored = RestoreParent();
    if (status.ok()) status = restored;
  }
  staging_.fd.Reset();
  return status;
}

absl::Status StagedDirectory::RestoreParent() {
  for (const std::string& name : moved_) RETURN_IF_ERROR(RemoveTreeAt(parent_.get(), name));
  ASSIGN_OR_RETURN(const std::vector<std::string> of_others, NamesIn(parent_.get(), path_));
  if (!of_others.empty()) return absl::OkStatus();  // theirs to describe, too
  RETURN_IF_ERROR(RemoveOtherXattrs(parent_.get(), before_, path_));
  return SetMetadata(parent_.get(), before_, path_);
}

}  // namespace sluice
