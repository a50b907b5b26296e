#include "base/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

// Of a very long path only the end is shown.
absl::Status Failure(absl::string_view operation, absl::string_view path) {
  constexpr size_t kShown = 256;
  const int error = errno;
  const bool cut = path.size() > kShown;
  if (cut) path.remove_prefix(path.size() - kShown);
  return ErrnoStatus(error, operation, absl::StrCat(cut ? "..." : "", absl::CHexEscape(path)));
}

// Reading a directory is not to leave a trace in its access time, where the kernel lets us.
UniqueFd OpenQuietly(const RootedDirectory& root, absl::string_view path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  UniqueFd fd = root.Open(path, kFlags | O_NOATIME);
  if (!fd.valid() && errno == EPERM) fd = root.Open(path, kFlags);
  return fd;
}

}  // namespace

absl::Status TreeWalk::Run(Visit visit, Leave leave) {
  Entry entry{root_.fd(), ".", path_, {}};
  if (::fstat(root_.fd(), &entry.attributes) != 0) return Failure("fstat", "");
  RETURN_IF_ERROR(visit(entry));
  levels_.push_back({0, 0});
  while (!levels_.empty()) RETURN_IF_ERROR(ReadOn(visit, leave));
  return absl::OkStatus();
}

// Reads the deepest directory until a subdirectory turns up, or to its end. Coming back to one, it is opened anew and
// read on from where it was left.
absl::Status TreeWalk::ReadOn(Visit visit, Leave leave) {
  path_.resize(levels_.back().path_size);
  const UniqueFd fd = OpenQuietly(root_, path_);
  if (!fd.valid()) return Failure("openat2", path_);
  if (::lseek(fd.get(), levels_.back().position, SEEK_SET) < 0) return Failure("lseek", path_);
  for (;;) {
    const ssize_t bytes = ::getdents64(fd.get(), buffer_.data(), buffer_.size());
    if (bytes < 0) return Failure("getdents64", path_);
    if (bytes == 0) break;
    for (ssize_t offset = 0; offset < bytes;) {
      const auto* found = reinterpret_cast<const dirent64*>(buffer_.data() + offset);
      offset += found->d_reclen;
      const absl::string_view name = found->d_name;
      if (name == "." || name == "..") continue;
      path_.resize(levels_.back().path_size);
      absl::StrAppend(&path_, path_.empty() ? "" : "/", name);
      Entry entry{fd.get(), found->d_name, path_, {}};
      if (::fstatat(fd.get(), found->d_name, &entry.attributes, AT_SYMLINK_NOFOLLOW) != 0) {
        return Failure("fstatat", path_);
      }
      RETURN_IF_ERROR(visit(entry));
      if (!S_ISDIR(entry.attributes.st_mode)) continue;
      levels_.back().position = found->d_off;
      levels_.push_back({path_.size(), 0});
      return absl::OkStatus();
    }
  }
  path_.resize(levels_.back().path_size);
  levels_.pop_back();
  return leave(fd.get(), path_);
}

}  // namespace sluice
