#include "registry/cache/directory_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"

namespace sluice {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};

absl::Status WriteAll(int fd, absl::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListDirectory(int directory, const std::string& path) {
  // A descriptor of its own: readdir moves the offset.
  UniqueFd fd(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  const std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(fd.get()));
  if (stream == nullptr) return ErrnoStatus(errno, "fdopendir", path);
  static_cast<void>(fd.Release());
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr && errno != 0) return ErrnoStatus(errno, "readdir", path);
    if (entry == nullptr) return names;
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

absl::StatusOr<UniqueFd> OpenRegularFile(int directory, const std::string& name, int flags, const std::string& path) {
  const UniqueFd found(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!found.valid()) return ErrnoStatus(errno, "open", path);
  struct stat attributes = {};
  if (fstat(found.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", path);
  if (!S_ISREG(attributes.st_mode)) return absl::NotFoundError(absl::StrCat(path, ": not a regular file"));
  // Through /proc the very inode that was looked at is opened, whatever the name means by now.
  UniqueFd fd(open(absl::StrCat("/proc/self/fd/", found.get()).c_str(), flags | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  return fd;
}

absl::StatusOr<UniqueFd> OpenOrCreateFile(int directory, const std::string& name, const std::string& path) {
  while (true) {
    UniqueFd created(openat(directory, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
    if (created.valid()) return created;
    if (errno != EEXIST) return ErrnoStatus(errno, "open", path);
    absl::StatusOr<UniqueFd> existing = OpenRegularFile(directory, name, O_RDWR, path);
    if (!absl::IsNotFound(existing.status())) return existing;
    struct stat attributes = {};
    if (fstatat(directory, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(attributes.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
    }
    // It was removed between the two looks.
  }
}

absl::StatusOr<UniqueFd> OpenOrMakeDirectory(int parent, const std::string& name, const std::string& path) {
  if (mkdirat(parent, name.c_str(), kDirectoryMode) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", path);
  UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno != ENOTDIR && errno != ELOOP) return ErrnoStatus(errno, "open", path);
  return absl::FailedPreconditionError(absl::StrCat(path, ": not a directory, or a symbolic link"));
}

absl::Status CreateFile(int directory, const std::string& name, absl::string_view content, mode_t mode,
                        const std::string& path) {
  const UniqueFd fd(openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  absl::Status status = WriteAll(fd.get(), content, path);
  if (status.ok() && fchmod(fd.get(), mode) != 0) status = ErrnoStatus(errno, "fchmod", path);
  if (status.ok() && fsync(fd.get()) != 0) status = ErrnoStatus(errno, "fsync", path);
  if (!status.ok()) unlinkat(directory, name.c_str(), 0);
  return status;
}

absl::Status MakeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1); true; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (mkdir(prefix.c_str(), kDirectoryMode) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", prefix);
    if (end == std::string::npos) return absl::OkStatus();
  }
}

bool IsNamed(int directory, const std::string& name, int fd) {
  struct stat opened = {};
  struct stat named = {};
  return fstat(fd, &opened) == 0 && fstatat(directory, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace sluice
