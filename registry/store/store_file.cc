#include "registry/store/store_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

absl::StatusOr<size_t> ReadSome(int fd, absl::Span<char> buffer, absl::string_view name) {
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return ErrnoStatus(errno, "read", name);
  }
}

// A path component of a directory that is not one, or is a link, is as good as absent. `path` is as far as it went, of
// `whole`.
absl::Status OpenError(int error, absl::string_view path, absl::string_view whole) {
  if (error == ENOTDIR || error == ELOOP) {
    return absl::NotFoundError(absl::StrCat(path, ": not a directory, or a symbolic link inside the store"));
  }
  return ErrnoStatus(error, "open", error == ENOENT ? whole : path);
}

class FileReader : public ByteReader {
 public:
  FileReader(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override { return ReadSome(fd_.get(), buffer, name_); }

 private:
  UniqueFd fd_;
  std::string name_;
};

}  // namespace

absl::StatusOr<StoreFile> OpenStoreFile(absl::string_view root, absl::string_view place) {
  std::string path(root);
  const std::string whole = absl::StrCat(root, "/", place);
  UniqueFd at(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at.valid()) return OpenError(errno, path, whole);
  const std::vector<std::string> names = absl::StrSplit(place, '/');
  for (const std::string& name : names) {
    absl::StrAppend(&path, "/", name);
    if (name.empty() || name == "." || name == "..") return absl::NotFoundError(absl::StrCat(path, ": not a path"));
    const int kind = &name == &names.back() ? 0 : O_DIRECTORY;
    UniqueFd next(openat(at.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC | kind));
    if (!next.valid()) return OpenError(errno, path, whole);
    at = std::move(next);
  }
  struct stat attributes = {};
  if (fstat(at.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", path);
  if (!S_ISREG(attributes.st_mode)) return absl::NotFoundError(absl::StrCat(path, ": not a regular file"));
  // Through /proc the very inode that was looked at is opened, whatever the name means by now.
  const std::string same = absl::StrCat("/proc/self/fd/", at.get());
  StoreFile file = {UniqueFd(open(same.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)), attributes.st_size};
  if (!file.fd.valid()) return ErrnoStatus(errno, "open", path);
  return file;
}

absl::StatusOr<std::string> ReadStoreFile(StoreFile file, int64_t max_bytes, absl::string_view name) {
  const absl::Status too_large = absl::InvalidArgumentError(absl::StrCat(name, ": larger than ", max_bytes, " bytes"));
  if (file.size > max_bytes) return too_large;
  std::string content;
  // One byte more than the size shows whether it is still growing.
  content.resize(static_cast<size_t>(file.size) + 1);
  size_t filled = 0;
  while (true) {
    if (filled == content.size()) content.resize(std::min<size_t>(content.size() * 2, max_bytes + 1));
    ASSIGN_OR_RETURN(const size_t count, ReadSome(file.fd.get(), absl::MakeSpan(content).subspan(filled), name));
    if (count == 0) break;
    filled += count;
    if (filled > static_cast<size_t>(max_bytes)) return too_large;
  }
  content.resize(filled);
  return content;
}

std::unique_ptr<ByteReader> StreamStoreFile(StoreFile file, std::string name) {
  // Advice: whether it is taken changes nothing but the speed.
  posix_fadvise(file.fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_unique<FileReader>(std::move(file.fd), std::move(name));
}

}  // namespace sluice
