#include "cmd/ext4_metadata.h"

#include <ext2fs/ext2fs.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/rooted_directory.h"
#include "base/status_macros.h"
#include "base/tree_walk.h"

namespace sluice {
namespace {

absl::Status Check(errcode_t error, absl::string_view operation, absl::string_view path) {
  if (error == 0) return absl::OkStatus();
  return absl::UnknownError(
      absl::StrCat("ext4: ", operation, "(", absl::CHexEscape(path), "): ", error_message(error)));
}

// linux fs/ext4/ext4.h: 32 bits of seconds, two more of them, and nanoseconds.
struct Ext4Time {
  explicit Ext4Time(const timespec& time)
      : seconds(static_cast<uint32_t>(time.tv_sec)),
        extra(static_cast<uint32_t>(((time.tv_sec - static_cast<int32_t>(seconds)) >> 32) & 3) |
              static_cast<uint32_t>(time.tv_nsec) << 2) {}

  uint32_t seconds;
  uint32_t extra;
};

class Image {
 public:
  ~Image() {
    if (fs_ != nullptr) ext2fs_free(fs_);
  }

  absl::Status Open(int fd, int64_t now) {
    initialize_ext2_error_table();
    // Not by its path: libext2fs takes what follows a "?" for options.
    const std::string path = absl::StrCat("/proc/self/fd/", fd);
    RETURN_IF_ERROR(Check(ext2fs_open(path.c_str(), EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs_),
                          "open", "image"));
    fs_->now = now;
    return Check(ext2fs_read_bitmaps(fs_), "read_bitmaps", "image");
  }

  absl::Status Close() { return Check(ext2fs_close_free(&fs_), "close", "image"); }

  using Names = absl::flat_hash_map<std::string, ext2_ino_t>;
  absl::StatusOr<Names> NamesIn(ext2_ino_t directory, absl::string_view path) {
    Names names;
    const auto add = [](ext2_dir_entry* entry, int /*offset*/, int /*block_size*/, char* /*block*/, void* into) {
      const absl::string_view name(entry->name, static_cast<size_t>(ext2fs_dirent_name_len(entry)));
      if (name != "." && name != "..") static_cast<Names*>(into)->emplace(name, entry->inode);
      return 0;
    };
    RETURN_IF_ERROR(Check(ext2fs_dir_iterate(fs_, directory, 0, nullptr, add, &names), "dir_iterate", path));
    return names;
  }

  template <typename Change>
  absl::Status ChangeInode(ext2_ino_t number, absl::string_view path, Change change) {
    ext2_inode_large inode = {};
    auto* const small = reinterpret_cast<ext2_inode*>(&inode);
    RETURN_IF_ERROR(Check(ext2fs_read_inode_full(fs_, number, small, sizeof(inode)), "read_inode", path));
    change(inode);
    return Check(ext2fs_write_inode_full(fs_, number, small, sizeof(inode)), "write_inode", path);
  }

  // Makes the symlink `name`, which is `number` alone, another name of the symlink `first`.
  absl::Status Relink(ext2_ino_t directory, const std::string& name, ext2_ino_t number, ext2_ino_t first) {
    RETURN_IF_ERROR(Check(ext2fs_unlink(fs_, directory, name.c_str(), number, 0), "unlink", name));
    RETURN_IF_ERROR(Check(ext2fs_link(fs_, directory, name.c_str(), first, EXT2_FT_SYMLINK), "link", name));
    RETURN_IF_ERROR(ChangeInode(first, name, [](ext2_inode_large& inode) { ++inode.i_links_count; }));
    ext2_inode inode = {};
    RETURN_IF_ERROR(Check(ext2fs_read_inode(fs_, number, &inode), "read_inode", name));
    if (ext2fs_inode_has_valid_blocks2(fs_, &inode) != 0) {
      RETURN_IF_ERROR(Check(ext2fs_punch(fs_, number, &inode, nullptr, 0, ~blk64_t{0}), "punch", name));
    }
    ext2fs_inode_alloc_stats2(fs_, number, -1, 0);
    const ext2_inode_large empty = {};
    return ChangeInode(number, name, [&empty](ext2_inode_large& unused) { unused = empty; });
  }

 private:
  ext2_filsys fs_ = nullptr;
};

// The tree and the image, entry by entry.
class Completion {
 public:
  Completion(const DiskSource& source, Image& image, const Cancellation& cancellation)
      : source_(source), image_(image), cancellation_(cancellation) {}

  absl::Status Visit(const TreeWalk::Entry& entry) {
    RETURN_IF_ERROR(cancellation_.Check());
    if (entry.path.empty()) return VisitRoot(entry);
    const auto found = levels_.back().names.find(entry.name);
    if (found == levels_.back().names.end()) {
      return absl::InternalError(absl::StrCat("ext4: ", absl::CHexEscape(entry.path), ": not in the image"));
    }
    const ext2_ino_t number = found->second;
    levels_.back().names.erase(found);
    if (S_ISLNK(entry.attributes.st_mode) && entry.attributes.st_nlink > 1) {
      const auto [first, is_first] = symlinks_.emplace(entry.attributes.st_ino, number);
      if (!is_first) return image_.Relink(levels_.back().number, entry.name, number, first->second);
    }
    RETURN_IF_ERROR(SetTimes(number, entry.path, entry.attributes.st_mtim));
    return S_ISDIR(entry.attributes.st_mode) ? Enter(number, entry.path) : absl::OkStatus();
  }

  absl::Status Leave() {
    if (levels_.size() == 1) {
      const auto found = levels_.back().names.find("lost+found");
      if (found != levels_.back().names.end()) RETURN_IF_ERROR(SetTimes(found->second, found->first, timespec{}));
    }
    levels_.pop_back();
    return absl::OkStatus();
  }

 private:
  struct Level {
    ext2_ino_t number;
    Image::Names names;  // those not yet visited
  };

  absl::Status VisitRoot(const TreeWalk::Entry& entry) {
    RETURN_IF_ERROR(image_.ChangeInode(EXT2_ROOT_INO, "/", [this](ext2_inode_large& inode) {
      inode.i_mode = static_cast<uint16_t>(LINUX_S_IFDIR | (source_.root_mode & 07777));
      inode.i_uid = static_cast<uint16_t>(source_.root_uid);
      inode.i_uid_high = static_cast<uint16_t>(source_.root_uid >> 16);
      inode.i_gid = static_cast<uint16_t>(source_.root_gid);
      inode.i_gid_high = static_cast<uint16_t>(source_.root_gid >> 16);
    }));
    RETURN_IF_ERROR(SetTimes(EXT2_ROOT_INO, "/", entry.attributes.st_mtim));
    return Enter(EXT2_ROOT_INO, "");
  }

  absl::Status Enter(ext2_ino_t number, absl::string_view path) {
    ASSIGN_OR_RETURN(Image::Names names, image_.NamesIn(number, path));
    levels_.push_back({number, std::move(names)});
    return absl::OkStatus();
  }

  absl::Status SetTimes(ext2_ino_t number, absl::string_view path, const timespec& modified) {
    const Ext4Time time(modified);
    return image_.ChangeInode(number, path, [&time](ext2_inode_large& inode) {
      inode.i_mtime = inode.i_atime = inode.i_ctime = inode.i_crtime = time.seconds;
      inode.i_mtime_extra = inode.i_atime_extra = inode.i_ctime_extra = inode.i_crtime_extra = time.extra;
    });
  }

  const DiskSource& source_;
  Image& image_;
  const Cancellation& cancellation_;
  std::vector<Level> levels_;
  absl::flat_hash_map<ino_t, ext2_ino_t> symlinks_;  // of several names: the tree's number → the image's
};

}  // namespace

absl::Status CompleteExt4Metadata(const DiskSource& source, int image_fd, int64_t now,
                                  const Cancellation& cancellation) {
  Image image;
  RETURN_IF_ERROR(image.Open(image_fd, now));
  Completion completion(source, image, cancellation);
  const RootedDirectory root(source.tree_fd);
  RETURN_IF_ERROR(TreeWalk(root).Run(
      [&completion](const TreeWalk::Entry& entry) { return completion.Visit(entry); },
      [&completion](int /*directory_fd*/, absl::string_view /*path*/) { return completion.Leave(); }));
  return image.Close();
}

}  // namespace sluice
