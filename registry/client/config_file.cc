#include "registry/client/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/unique_fd.h"

namespace sluice {

absl::StatusOr<std::string> ReadConfigFile(const std::string& path, int64_t max_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  struct stat attributes = {};
  if (::fstat(fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", path);
  if (!S_ISREG(attributes.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));

  // The size is not asked for: the file may grow meanwhile, and files of /proc have none.
  const size_t limit = static_cast<size_t>(max_bytes) + 1;
  std::string bytes;
  char buffer[16 * 1024];
  while (bytes.size() < limit) {
    const ssize_t got = ::read(fd.get(), buffer, std::min(sizeof(buffer), limit - bytes.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read", path);
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
}

}  // namespace sluice
