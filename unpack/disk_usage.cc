#include "unpack/disk_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr int64_t kBlockBytes = 512;

// Only one directory is open at a time, however deep the tree: coming back to one, it is opened anew and read on from
// where it was left.
class Walk {
 public:
  explicit Walk(const RootedDirectory& root) : root_(root) {}

  absl::StatusOr<DiskUsage> Run() {
    struct stat attributes {};
    if (::fstat(root_.fd(), &attributes) != 0) return ErrnoStatus(errno, "fstat", "");
    Count(attributes);
    levels_.push_back({0, 0});
    while (!levels_.empty()) RETURN_IF_ERROR(ReadOn());
    return usage_;
  }

 private:
  struct Level {
    size_t path_size;  // of this directory's path
    off_t position;    // where to read on in it
  };

  // Reads the deepest directory until a subdirectory turns up, or to its end.
  absl::Status ReadOn() {
    path_.resize(levels_.back().path_size);
    const UniqueFd fd = root_.Open(path_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd.valid()) return ErrnoStatus(errno, "openat2", PrintableName(path_));
    if (::lseek(fd.get(), levels_.back().position, SEEK_SET) < 0)
      return ErrnoStatus(errno, "lseek", PrintableName(path_));
    for (;;) {
      const ssize_t bytes = ::getdents64(fd.get(), buffer_.data(), buffer_.size());
      if (bytes < 0) return ErrnoStatus(errno, "getdents64", PrintableName(path_));
      if (bytes == 0) break;
      for (ssize_t offset = 0; offset < bytes;) {
        const auto* entry = reinterpret_cast<const dirent64*>(buffer_.data() + offset);
        offset += entry->d_reclen;
        const absl::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        struct stat attributes {};
        if (::fstatat(fd.get(), entry->d_name, &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
          return ErrnoStatus(errno, "fstatat", PrintableName(JoinPath(path_, name)));
        }
        Count(attributes);
        if (!S_ISDIR(attributes.st_mode)) continue;
        levels_.back().position = entry->d_off;
        path_ = JoinPath(path_, name);
        levels_.push_back({path_.size(), 0});
        return absl::OkStatus();
      }
    }
    levels_.pop_back();
    return absl::OkStatus();
  }

  void Count(const struct stat& attributes) {
    const bool several_names = !S_ISDIR(attributes.st_mode) && attributes.st_nlink > 1;
    if (several_names && !seen_.insert(attributes.st_ino).second) return;
    usage_.bytes += attributes.st_blocks * kBlockBytes;
    ++usage_.inodes;
  }

  const RootedDirectory root_;
  std::string path_;
  std::vector<Level> levels_;
  std::vector<char> buffer_ = std::vector<char>(size_t{32} << 10);  // aligned for dirent64, as operator new gives it
  absl::flat_hash_set<ino_t> seen_;
  DiskUsage usage_;
};

}  // namespace

absl::StatusOr<DiskUsage> CountDiskUsage(const RootedDirectory& root) { return Walk(root).Run(); }

}  // namespace sluice
