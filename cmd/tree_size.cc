#include "cmd/tree_size.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/rooted_directory.h"
#include "base/status_macros.h"
#include "base/tree_walk.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr int64_t kBlockBytes = 4096;
constexpr int64_t kStatBlockBytes = 512;
// A shorter link's text is in the inode.
constexpr int64_t kShortSymlink = 60;
// Of a directory's block, what names can surely use: without its checksum, and without the room that the longest name
// has not found in it.
constexpr int64_t kDirectoryBlockBytes = kBlockBytes - 12 - 264;

constexpr int64_t kDotsBytes = 24;  // "." and ".."

bool IsLostAndFound(absl::string_view path) { return path == "lost+found" || absl::EndsWith(path, "/lost+found"); }

int64_t BlocksOf(int64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes; }

class Measurement {
 public:
  explicit Measurement(const Cancellation& cancellation) : cancellation_(cancellation) {}

  absl::Status Visit(const TreeWalk::Entry& entry) {
    RETURN_IF_ERROR(cancellation_.Check());
    const bool is_directory = S_ISDIR(entry.attributes.st_mode);
    CountName(entry, is_directory);
    if (!is_directory && IsLostAndFound(entry.path)) size_.full_lost_and_found.emplace_back(entry.path);
    const bool several_names = !is_directory && entry.attributes.st_nlink > 1;
    if (several_names && !seen_.insert(entry.attributes.st_ino).second) return absl::OkStatus();
    ++size_.inodes;
    const struct timespec& modified = entry.attributes.st_mtim;
    size_.newest = std::max<int64_t>(size_.newest, modified.tv_sec + (modified.tv_nsec > 0 ? 1 : 0));
    const std::string self = absl::StrCat("/proc/self/fd/", entry.directory_fd, "/", entry.name);
    if (::llistxattr(self.c_str(), nullptr, 0) > 0) ++size_.files_with_xattrs;
    if (S_ISREG(entry.attributes.st_mode)) return CountContent(entry);
    if (S_ISLNK(entry.attributes.st_mode) && entry.attributes.st_size >= kShortSymlink) ++size_.content_blocks;
    return absl::OkStatus();
  }

  absl::Status Leave(absl::string_view path) {
    size_.directory_blocks += (names_.back() + kDirectoryBlockBytes - 1) / kDirectoryBlockBytes;
    const bool empty = names_.back() == kDotsBytes;
    if (IsLostAndFound(path)) (empty ? size_.empty_lost_and_found : size_.full_lost_and_found).emplace_back(path);
    names_.pop_back();
    return absl::OkStatus();
  }

  const TreeSize& size() const { return size_; }

 private:
  void CountName(const TreeWalk::Entry& entry, bool is_directory) {
    const size_t length = std::strlen(entry.name);
    if (length == NAME_MAX) size_.longest_name = true;
    // A directory entry: 8 bytes and the name, rounded up to 4.
    if (!names_.empty()) names_.back() += 8 + static_cast<int64_t>(length + 3) / 4 * 4;
    if (is_directory) names_.push_back(kDotsBytes);
  }

  absl::Status CountContent(const TreeWalk::Entry& entry) {
    const int64_t bytes = entry.attributes.st_size;
    if (entry.attributes.st_blocks * kStatBlockBytes >= bytes) {
      size_.content_blocks += BlocksOf(bytes);
      return absl::OkStatus();
    }
    const UniqueFd fd(::openat(entry.directory_fd, entry.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return Failure("openat", entry);
    for (off_t at = 0;;) {
      const off_t data = ::lseek(fd.get(), at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) return absl::OkStatus();
      if (data < 0) return Failure("lseek", entry);
      at = ::lseek(fd.get(), data, SEEK_HOLE);
      if (at < 0) return Failure("lseek", entry);
      size_.content_blocks += BlocksOf(at) - data / kBlockBytes;
    }
  }

  static absl::Status Failure(absl::string_view operation, const TreeWalk::Entry& entry) {
    const int error = errno;
    return ErrnoStatus(error, operation, absl::CHexEscape(entry.path));
  }

  const Cancellation& cancellation_;
  TreeSize size_;
  std::vector<int64_t> names_;  // what they take, of the directories that are being read
  absl::flat_hash_set<ino_t> seen_;
};

}  // namespace

absl::StatusOr<TreeSize> MeasureTree(int tree_fd, const Cancellation& cancellation) {
  Measurement measurement(cancellation);
  const RootedDirectory root(tree_fd);
  RETURN_IF_ERROR(TreeWalk(root).Run(
      [&measurement](const TreeWalk::Entry& entry) { return measurement.Visit(entry); },
      [&measurement](int /*directory_fd*/, absl::string_view path) { return measurement.Leave(path); }));
  return measurement.size();
}

}  // namespace sluice
