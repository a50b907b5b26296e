#include "base/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

// Some file systems skip entries of a directory that changes while it is read, so one that is still not empty is read
// again; a directory that somebody keeps filling is given up.
constexpr int kMaxScans = 8;

// Opens a directory without crossing a mount, bind mounts of the same file system included. EXDEV = it is a mount
// point. Where openat2 is missing or filtered, the device numbers stand in: they miss a bind mount of the same file
// system.
int OpenSameMount(int parent_fd, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const long fd = ::syscall(SYS_openat2, parent_fd, name.c_str(), &how, sizeof(how));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
  UniqueFd opened(::openat(parent_fd, name.c_str(), static_cast<int>(how.flags)));
  struct stat parent {};
  struct stat child {};
  if (!opened.valid() || ::fstat(parent_fd, &parent) != 0 || ::fstat(opened.get(), &child) != 0) return -1;
  if (parent.st_dev != child.st_dev) {
    errno = EXDEV;
    return -1;
  }
  return opened.Release();
}

// An ordinary user's tree may hold directories that its owner can't read. The detour over /proc is because fchmodat
// follows links.
int OpenUnreadable(int parent_fd, const std::string& name) {
  const UniqueFd path_fd(::openat(parent_fd, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!path_fd.valid()) return -1;
  if (::chmod(absl::StrCat("/proc/self/fd/", path_fd.get()).c_str(), S_IRWXU) != 0) return -1;
  return OpenSameMount(parent_fd, name);
}

bool IsComponent(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == absl::string_view::npos &&
         name.find('\0') == absl::string_view::npos;
}

// One directory on the way down; only the deepest one is open.
struct Level {
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;
  int scans = 0;
  std::vector<std::string> subdirectories;  // found and not yet removed
};

class TreeRemover {
 public:
  TreeRemover(int parent_fd, const Cancellation* cancellation) : parent_fd_(parent_fd), cancellation_(cancellation) {}

  absl::Status Remove(std::string name) {
    RETURN_IF_ERROR(RemoveFileOrEnter(parent_fd_, std::move(name)));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.subdirectories.empty()) {
        RETURN_IF_ERROR(Leave());
        continue;
      }
      std::string next = std::move(level.subdirectories.back());
      level.subdirectories.pop_back();
      RETURN_IF_ERROR(Enter(current_.get(), std::move(next)));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status RemoveFileOrEnter(int directory_fd, std::string name) {
    if (::unlinkat(directory_fd, name.c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno == EISDIR) return Enter(directory_fd, std::move(name));
    return Failure("unlinkat", name);
  }

  absl::Status Enter(int directory_fd, std::string name) {
    UniqueFd fd(OpenSameMount(directory_fd, name));
    if (!fd.valid() && errno == EACCES) fd.Reset(OpenUnreadable(directory_fd, name));
    if (!fd.valid()) {
      if (errno == ENOENT) return absl::OkStatus();
      if (errno == EXDEV) errno = EBUSY;
      return Failure("openat", name);
    }
    struct stat attributes {};
    if (::fstat(fd.get(), &attributes) != 0) return Failure("fstat", name);
    // Unlinking needs the owner's write and search bits, unless root.
    if ((attributes.st_mode & S_IRWXU) != S_IRWXU && ::geteuid() != 0) ::fchmod(fd.get(), S_IRWXU);
    current_ = std::move(fd);
    levels_.push_back({std::move(name), attributes.st_dev, attributes.st_ino, 0, {}});
    return Scan();
  }

  // Removes what is not a directory, notes what is. The whole directory is read before its first subdirectory is
  // entered: reading it anew after each one would be quadratic.
  absl::Status Scan() {
    ++levels_.back().scans;
    if (::lseek(current_.get(), 0, SEEK_SET) != 0) return Failure("lseek", "");
    for (;;) {
      const ssize_t bytes = ::getdents64(current_.get(), buffer_.data(), buffer_.size());
      if (bytes < 0) return Failure("getdents64", "");
      if (bytes == 0) return absl::OkStatus();
      for (ssize_t offset = 0; offset < bytes;) {
        const auto* entry = reinterpret_cast<const dirent64*>(buffer_.data() + offset);
        offset += entry->d_reclen;
        RETURN_IF_ERROR(Visit(entry->d_type, entry->d_name));
      }
    }
  }

  absl::Status Visit(unsigned char type, std::string name) {
    if (name == "." || name == "..") return absl::OkStatus();
    if (cancellation_ != nullptr) RETURN_IF_ERROR(cancellation_->Check());
    if (type != DT_DIR) {
      if (::unlinkat(current_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
      if (errno != EISDIR) return Failure("unlinkat", name);
    }
    levels_.back().subdirectories.push_back(std::move(name));
    return absl::OkStatus();
  }

  // Goes up and removes the directory that was left. ".." is followed only to the very directory we came from: somebody
  // may have moved this one meanwhile.
  absl::Status Leave() {
    const std::string name = levels_.back().name;
    UniqueFd above;
    if (levels_.size() > 1) {
      const Level& expected = levels_[levels_.size() - 2];
      above.Reset(::openat(current_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      struct stat attributes {};
      if (!above.valid() || ::fstat(above.get(), &attributes) != 0) return Failure("openat", "..");
      if (attributes.st_dev != expected.device || attributes.st_ino != expected.inode) {
        return absl::AbortedError(absl::StrCat("remove: ", Path(""), ": the directory was moved meanwhile"));
      }
    }
    const int directory_fd = above.valid() ? above.get() : parent_fd_;
    if (::unlinkat(directory_fd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      const bool refilled = errno == ENOTEMPTY || errno == EEXIST;
      if (refilled && levels_.back().scans < kMaxScans) return Scan();
      return Failure("unlinkat", "");
    }
    levels_.pop_back();
    current_ = std::move(above);
    return absl::OkStatus();
  }

  // errno, with the place it happened at; `name` is empty for the current directory itself.
  absl::Status Failure(absl::string_view operation, absl::string_view name) const {
    const int error = errno;
    return ErrnoStatus(error, operation, Path(name));
  }

  // The path below the parent; of a very deep one only the end.
  std::string Path(absl::string_view name) const {
    constexpr size_t kShown = 8;
    const size_t first = levels_.size() > kShown ? levels_.size() - kShown : 0;
    std::string path = first > 0 ? "..." : "";
    for (size_t i = first; i < levels_.size(); ++i) absl::StrAppend(&path, path.empty() ? "" : "/", levels_[i].name);
    if (!name.empty()) absl::StrAppend(&path, path.empty() ? "" : "/", name);
    return path;
  }

  const int parent_fd_;
  const Cancellation* const cancellation_;
  UniqueFd current_;
  std::vector<Level> levels_;
  // Aligned for dirent64, as operator new gives it.
  std::vector<char> buffer_ = std::vector<char>(size_t{32} << 10);
};

}  // namespace

absl::Status RemoveTreeAt(int parent_fd, absl::string_view name, const Cancellation* cancellation) {
  if (!IsComponent(name)) {
    return absl::InvalidArgumentError(absl::StrCat("remove: \"", name, "\": not the name of a directory entry"));
  }
  return TreeRemover(parent_fd, cancellation).Remove(std::string(name));
}

absl::Status RemoveTree(absl::string_view path) {
  absl::string_view trimmed = path;
  while (absl::ConsumeSuffix(&trimmed, "/")) continue;
  const size_t slash = trimmed.rfind('/');
  std::string parent = ".";
  if (slash != absl::string_view::npos) parent = std::string(trimmed.substr(0, slash + 1));
  const absl::string_view name = slash == absl::string_view::npos ? trimmed : trimmed.substr(slash + 1);
  const UniqueFd parent_fd(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent_fd.valid()) {
    const int error = errno;
    return error == ENOENT ? absl::OkStatus() : ErrnoStatus(error, "open", parent);
  }
  return RemoveTreeAt(parent_fd.get(), name);
}

}  // namespace sluice
