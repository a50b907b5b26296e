#include "cmd/staged_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
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
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::string temporary = absl::StrCat(parent, "/.sluice-XXXXXX");
  StagedFile file;
  file.path_ = path;
  file.fd_.Reset(mkostemp(&temporary[0], O_CLOEXEC));
  if (!file.fd_.valid()) return Annotate(ErrnoStatus(errno, "mkostemp", parent), path);
  file.temporary_ = std::move(temporary);
  const mode_t mask = umask(0);
  umask(mask);
  if (fchmod(file.fd_.get(), 0666 & ~mask) != 0) return ErrnoStatus(errno, "fchmod", path);
  return file;
}

StagedFile::StagedFile(StagedFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      fd_(std::move(other.fd_)) {}

StagedFile::~StagedFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status StagedFile::Write(absl::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(fd_.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path_);
    content.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd_.get()) != 0) return ErrnoStatus(errno, "fsync", path_);
  return absl::OkStatus();
}

absl::Status StagedFile::Publish() {
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return ErrnoStatus(errno, "rename", path_);
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace sluice
