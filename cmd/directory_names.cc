#include "cmd/directory_names.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>

#include "base/errno_status.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

}  // namespace

absl::StatusOr<std::vector<std::string>> NamesIn(int fd, absl::string_view path) {
  // A descriptor of its own: closedir closes it, and the other one's position stays.
  UniqueFd own(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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

}  // namespace sluice
