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

namespace sluice {

absl::StatusOr<StagedFile> StagedFile::Create(const std::string& path, Existing existing) {
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) == 0 && !S_ISREG(attributes.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  if (existing == Existing::kRefused && lstat(path.c_str(), &attributes) == 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": exists"));
  }
  if (path.empty()) return absl::NotFoundError("a file without a name");
  const size_t slash = path.rfind('/');
  StagedFile file;
  file.path_ = path;
  file.existing_ = existing;
  file.parent_path_ = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  file.name_ = path.substr(slash == std::string::npos ? 0 : slash + 1);
  file.parent_.Reset(open(file.parent_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.parent_.valid()) return Annotate(ErrnoStatus(errno, "open", file.parent_path_), path);
  RemoveAbandoned(file.parent_.get(), nullptr);
  absl::StatusOr<Staging> staging = StageFile(file.parent_.get());
  if (!staging.ok()) return Annotate(staging.status(), path);
  file.staging_ = *std::move(staging);
  return file;
}

StagedFile::~StagedFile() {
  if (staging_.fd.valid()) unlinkat(parent_.get(), staging_.name.c_str(), 0);
}

absl::Status StagedFile::Write(absl::string_view content) {
  RETURN_IF_ERROR(Append(content));
  return Sync();
}

absl::Status StagedFile::Append(absl::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = write(staging_.fd.get(), piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path_);
    piece.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::string StagedFile::TemporaryPath() const {
  return std::filesystem::absolute(std::filesystem::path(parent_path_) / staging_.name).string();
}

absl::Status StagedFile::Sync() {
  return fsync(staging_.fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fsync", path_);
}

absl::Status StagedFile::Publish() {
  const int parent = parent_.get();
  int result = -1;
  if (existing_ == Existing::kRefused) {
    result = renameat2(parent, staging_.name.c_str(), parent, name_.c_str(), RENAME_NOREPLACE);
    // Some network file systems don't know the flag.
    if (result != 0 && errno == EINVAL) {
      result = linkat(parent, staging_.name.c_str(), parent, name_.c_str(), 0);
      if (result == 0) result = unlinkat(parent, staging_.name.c_str(), 0);
    }
  } else {
    result = renameat(parent, staging_.name.c_str(), parent, name_.c_str());
  }
  if (result != 0) return ErrnoStatus(errno, "rename", path_);
  staging_.fd.Reset();
  return absl::OkStatus();
}

void StagedFile::Withdraw() { unlinkat(parent_.get(), name_.c_str(), 0); }

}  // namespace sluice
