#include "cmd/staged_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {

absl::StatusOr<StagedFile> StagedFile::Create(const std::string& path) {
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) == 0 && !S_ISREG(attributes.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  if (path.empty()) return absl::NotFoundError("a file without a name");
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  StagedFile file;
  file.path_ = path;
  file.name_ = path.substr(slash == std::string::npos ? 0 : slash + 1);
  file.parent_.Reset(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.parent_.valid()) return Annotate(ErrnoStatus(errno, "open", parent), path);
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
  while (!content.empty()) {
    const ssize_t written = write(staging_.fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path_);
    content.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(staging_.fd.get()) != 0) return ErrnoStatus(errno, "fsync", path_);
  return absl::OkStatus();
}

absl::Status StagedFile::Publish() {
  if (renameat(parent_.get(), staging_.name.c_str(), parent_.get(), name_.c_str()) != 0) {
    return ErrnoStatus(errno, "rename", path_);
  }
  staging_.fd.Reset();
  return absl::OkStatus();
}

}  // namespace sluice
