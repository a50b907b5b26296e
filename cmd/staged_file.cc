#include "cmd/staged_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/staging_place.h"

namespace sluice {

absl::StatusOr<StagedFile> StagedFile::Create(const std::string& path, Existing existing) {
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) == 0 && !S_ISREG(attributes.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  if (existing == Existing::kRefused && lstat(path.c_str(), &attributes) == 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": exists"));
  }
  const size_t slash = path.rfind('/');
  StagedFile file;
  file.path_ = path;
  file.existing_ = existing;
  file.name_ = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (file.name_.empty()) return absl::FailedPreconditionError(absl::StrCat("\"", path, "\": not a file's name"));
  file.parent_path_ = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  file.parent_.Reset(open(file.parent_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!file.parent_.valid()) return Annotate(ErrnoStatus(errno, "open", file.parent_path_), path);
  absl::StatusOr<StagingPlace> place =
      MakeStagingPlace(file.parent_.get(), file.parent_path_, StagingPlace::Kind::kFile);
  if (!place.ok()) return Annotate(place.status(), path);
  file.temporary_ = std::move(place->name);
  file.fd_ = std::move(place->fd);
  const mode_t mask = umask(0);
  umask(mask);
  if (fchmod(file.fd_.get(), 0666 & ~mask) != 0) return ErrnoStatus(errno, "fchmod", path);
  return file;
}

StagedFile::StagedFile(StagedFile&& other) noexcept
    : path_(std::move(other.path_)),
      existing_(other.existing_),
      parent_(std::move(other.parent_)),
      parent_path_(std::move(other.parent_path_)),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      fd_(std::move(other.fd_)) {}

StagedFile::~StagedFile() {
  if (!temporary_.empty()) unlinkat(parent_.get(), temporary_.c_str(), 0);
}

absl::Status StagedFile::Write(absl::string_view content) {
  RETURN_IF_ERROR(Append(content));
  return Sync();
}

absl::Status StagedFile::Append(absl::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = write(fd_.get(), piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path_);
    piece.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::string StagedFile::TemporaryPath() const {
  return std::filesystem::absolute(std::filesystem::path(parent_path_) / temporary_).string();
}

absl::Status StagedFile::Sync() {
  return fsync(fd_.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fsync", path_);
}

absl::Status StagedFile::Publish() {
  const int parent = parent_.get();
  int result = -1;
  if (existing_ == Existing::kRefused) {
    result = renameat2(parent, temporary_.c_str(), parent, name_.c_str(), RENAME_NOREPLACE);
    // Some network file systems don't know the flag.
    if (result != 0 && errno == EINVAL) {
      result = linkat(parent, temporary_.c_str(), parent, name_.c_str(), 0);
      if (result == 0) result = unlinkat(parent, temporary_.c_str(), 0);
    }
  } else {
    result = renameat(parent, temporary_.c_str(), parent, name_.c_str());
  }
  if (result != 0) return ErrnoStatus(errno, "rename", path_);
  temporary_.clear();
  return absl::OkStatus();
}

void StagedFile::Withdraw() { unlinkat(parent_.get(), name_.c_str(), 0); }

}  // namespace sluice
