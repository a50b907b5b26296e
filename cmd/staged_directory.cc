#include "cmd/staged_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "cmd/staging_place.h"

namespace sluice {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

absl::StatusOr<std::vector<std::string>> NamesIn(int directory_fd, const std::string& path) {
  // A descriptor of its own: closedir closes it, and the other one's position stays.
  UniqueFd own(openat(directory_fd, ".", kOpenDirectory));
  if (!own.valid()) return ErrnoStatus(errno, "open", path);
  const std::unique_ptr<DIR, CloseDirectory> directory(fdopendir(own.get()));
  if (directory == nullptr) return ErrnoStatus(errno, "fdopendir", path);
  static_cast<void>(own.Release());
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "readdir", path);
  return names;
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && absl::EndsWith(path, "/")) path.pop_back();
  return path;
}

}  // namespace

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& path) {
  StagedDirectory staged;
  staged.path_ = WithoutTrailingSlashes(path);
  UniqueFd existing(open(staged.path_.c_str(), kOpenDirectory));
  if (!existing.valid()) {
    if (errno == ENOTDIR) return absl::FailedPreconditionError(absl::StrCat(path, ": not a directory"));
    if (errno != ENOENT) return ErrnoStatus(errno, "open", path);
    RETURN_IF_ERROR(staged.Stage());
    return staged;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(existing.get(), path));
  if (!names.empty())
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": not empty: an image goes into a new or an empty directory"));
  if (fstat(existing.get(), &staged.before_) != 0) return ErrnoStatus(errno, "fstat", path);
  staged.directory_ = std::move(existing);
  return staged;
}

absl::Status StagedDirectory::Stage() {
  struct stat link = {};
  if (lstat(path_.c_str(), &link) == 0)
    return absl::FailedPreconditionError(absl::StrCat(path_, ": a link to nowhere"));
  const size_t slash = path_.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  name_ = path_.substr(slash == std::string::npos ? 0 : slash + 1);
  parent_.Reset(open(parent.c_str(), kOpenDirectory));
  if (!parent_.valid()) {
    return Annotate(ErrnoStatus(errno, "open", parent), absl::StrCat(path_, ": its parent directory"));
  }
  return MakePlace(parent);
}

absl::Status StagedDirectory::MakePlace(const std::string& parent) {
  absl::StatusOr<StagingPlace> place = MakeStagingPlace(parent_.get(), parent, StagingPlace::Kind::kDirectory);
  if (!place.ok()) return Annotate(place.status(), path_);
  staged_ = std::move(place->name);
  directory_ = std::move(place->fd);
  return absl::OkStatus();
}

absl::StatusOr<StagedDirectory> StagedDirectory::CreateScratch(const std::string& parent) {
  StagedDirectory staged;
  staged.path_ = parent;
  staged.parent_.Reset(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!staged.parent_.valid()) return ErrnoStatus(errno, "open", parent);
  RETURN_IF_ERROR(staged.MakePlace(parent));
  return staged;
}

StagedDirectory::~StagedDirectory() {
  if (!published_) Discard().IgnoreError();
}

absl::Status StagedDirectory::Publish() {
  if (parent_.valid()) {
    const int parent = parent_.get();
    int result = renameat2(parent, staged_.c_str(), parent, name_.c_str(), RENAME_NOREPLACE);
    // Some network file systems don't know the flag. Without it a directory still replaces nothing but an empty one.
    if (result != 0 && errno == EINVAL) result = renameat(parent, staged_.c_str(), parent, name_.c_str());
    if (result != 0) return ErrnoStatus(errno, "rename", path_);
    staged_ = name_;
  }
  published_ = true;
  return absl::OkStatus();
}

absl::Status StagedDirectory::Discard() {
  if (!directory_.valid()) return absl::OkStatus();
  const absl::Status status = parent_.valid() ? RemoveTreeAt(parent_.get(), staged_) : Empty();
  directory_.Reset();
  return status;
}

absl::Status StagedDirectory::Empty() {
  const int directory = directory_.get();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(directory, path_));
  for (const std::string& name : names) RETURN_IF_ERROR(RemoveTreeAt(directory, name));
  if (fchown(directory, before_.st_uid, before_.st_gid) != 0) return ErrnoStatus(errno, "fchown", path_);
  if (fchmod(directory, before_.st_mode & 07777) != 0) return ErrnoStatus(errno, "fchmod", path_);
  const timespec times[] = {before_.st_atim, before_.st_mtim};
  if (futimens(directory, times) != 0) return ErrnoStatus(errno, "futimens", path_);
  return absl::OkStatus();
}

}  // namespace sluice
