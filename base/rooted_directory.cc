#include "base/rooted_directory.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

namespace sluice {
namespace {

// openat2 answers EAGAIN while anything on the system renames or mounts: it is asked again a few times, then the walk
// is made component by component, which never needs to retry.
constexpr int kAttempts = 16;

constexpr int kStepFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool StaysBelow(absl::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const absl::string_view component = path.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == absl::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

int OpenByKernel(int fd, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const long opened = ::syscall(SYS_openat2, fd, path.c_str(), &how, sizeof(how));
    if (opened >= 0 || errno != EAGAIN) return static_cast<int>(opened);
  }
  return -1;
}

UniqueFd OpenByComponents(int fd, absl::string_view path, int flags) {
  UniqueFd current;
  for (;;) {
    const size_t slash = path.find('/');
    const bool last = slash == absl::string_view::npos;
    const std::string component(path.substr(0, slash));
    const int from = current.valid() ? current.get() : fd;
    UniqueFd next(::openat(from, component.c_str(), last ? flags | O_NOFOLLOW : kStepFlags));
    if (last || !next.valid()) return next;
    current = std::move(next);
    path.remove_prefix(slash + 1);
  }
}

bool IsMissing(int error) { return error == ENOSYS || error == EPERM || error == EAGAIN; }

}  // namespace

UniqueFd RootedDirectory::Open(absl::string_view path, int flags) const {
  flags |= O_CLOEXEC;
  if (path.empty()) return UniqueFd(::openat(fd_, ".", flags));
  if (!StaysBelow(path)) {
    errno = EINVAL;
    return UniqueFd();
  }
  if (walk_ == Walk::kComponents) return OpenByComponents(fd_, path, flags);
  // One call takes less than PATH_MAX bytes: longer paths go in pieces.
  UniqueFd current;
  for (;;) {
    const int from = current.valid() ? current.get() : fd_;
    const bool last = path.size() < PATH_MAX;
    const size_t cut = last ? path.size() : path.rfind('/', PATH_MAX - 1);
    if (cut == absl::string_view::npos) {
      errno = ENAMETOOLONG;
      return UniqueFd();
    }
    const absl::string_view piece = path.substr(0, cut);
    UniqueFd next(OpenByKernel(from, std::string(piece), last ? flags : kStepFlags));
    if (!next.valid() && IsMissing(errno)) next = OpenByComponents(from, piece, last ? flags : kStepFlags);
    if (last || !next.valid()) return next;
    current = std::move(next);
    path.remove_prefix(cut + 1);
  }
}

}  // namespace sluice
