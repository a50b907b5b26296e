#include "snapshotter/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr int kAttempts = 3;

using Inode = std::pair<dev_t, ino_t>;

// Depth first with one open directory: ancestors are found again through "..", and checked to be the same.
class UsageWalk {
 public:
  UsageWalk(const Cancellation* cancellation, int64_t most_inodes)
      : cancellation_(cancellation), most_inodes_(most_inodes) {}

  absl::StatusOr<Usage> Run(int root_fd) {
    UniqueFd current(openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!current.valid()) return ErrnoStatus(errno, "openat", ".");
    RETURN_IF_ERROR(Enter(current.get()));
    while (true) {
      if (cancellation_ != nullptr) RETURN_IF_ERROR(cancellation_->Check());
      Level& level = levels_.back();
      if (!level.subdirectories.empty()) {
        const std::string name = std::move(level.subdirectories.back());
        level.subdirectories.pop_back();
        UniqueFd child(openat(current.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!child.valid() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) continue;
        if (!child.valid()) return ErrnoStatus(errno, "openat", name);
        current = std::move(child);
        RETURN_IF_ERROR(Enter(current.get()));
        continue;
      }
      levels_.pop_back();
      if (levels_.empty()) return usage_;
      RETURN_IF_ERROR(Leave(current));
    }
  }

 private:
  struct Level {
    Inode inode;
    std::vector<std::string> subdirectories;  // not walked yet
  };
  struct CloseDirectory {
    void operator()(DIR* stream) const { closedir(stream); }
  };

  // Counts the directory and what is in it, but for subdirectories, which are remembered.
  absl::Status Enter(int fd) {
    struct stat self;
    if (fstat(fd, &self) != 0) return ErrnoStatus(errno, "fstat", ".");
    Count(self);
    Level level{{self.st_dev, self.st_ino}, {}};

    const int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return ErrnoStatus(errno, "openat", ".");
    const std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(copy));
    if (stream == nullptr) {
      ::close(copy);
      return ErrnoStatus(errno, "fdopendir", ".");
    }
    while (true) {
      errno = 0;
      const dirent* entry = readdir(stream.get());
      if (entry == nullptr && errno != 0) return ErrnoStatus(errno, "readdir", ".");
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (usage_.inodes >= most_inodes_) return absl::OutOfRangeError("a tree of more inodes");
      struct stat info;
      if (fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return ErrnoStatus(errno, "fstatat", name);
      }
      if (S_ISDIR(info.st_mode)) {
        level.subdirectories.push_back(name);
      } else {
        Count(info);
      }
    }
    levels_.push_back(std::move(level));
    return absl::OkStatus();
  }

  // Back to the directory of levels_.back().
  absl::Status Leave(UniqueFd& current) {
    UniqueFd parent(openat(current.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent.valid()) return ErrnoStatus(errno, "openat", "..");
    struct stat info;
    if (fstat(parent.get(), &info) != 0) return ErrnoStatus(errno, "fstat", "..");
    if (Inode(info.st_dev, info.st_ino) != levels_.back().inode) {
      return absl::AbortedError("a directory was moved while it was counted");
    }
    current = std::move(parent);
    return absl::OkStatus();
  }

  void Count(const struct stat& info) {
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) && !linked_.insert({info.st_dev, info.st_ino}).second) return;
    usage_.bytes += static_cast<int64_t>(info.st_blocks) * 512;
    usage_.inodes += 1;
  }

  const Cancellation* cancellation_;
  const int64_t most_inodes_;
  std::vector<Level> levels_;
  absl::flat_hash_set<Inode> linked_;  // inodes with several names that were counted
  Usage usage_;
};

}  // namespace

absl::StatusOr<Usage> DiskUsage(int directory_fd, const Cancellation* cancellation, int64_t most_inodes) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<Usage> usage = UsageWalk(cancellation, most_inodes).Run(directory_fd);
    if (usage.ok() || !absl::IsAborted(usage.status())) return usage;
  }
  return absl::UnavailableError("directories keep moving while they are counted");
}

}  // namespace sluice
