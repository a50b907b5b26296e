#include "unpack/entry_maker.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr mode_t kPermissions = 0777;

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  const int error = errno;
  return ErrnoStatus(error, operation, PrintableName(path));
}

bool HasDefaultAcl(const FileMetadata& metadata) {
  return std::any_of(metadata.xattrs.begin(), metadata.xattrs.end(),
                     [](const ExtendedAttribute& xattr) { return xattr.name == "system.posix_acl_default"; });
}

class Maker {
 public:
  Maker(LayerTree& tree, absl::string_view path, const TarEntry& entry, ContentSource content)
      : tree_(tree), path_(path), name_(SplitPath(path).second), entry_(entry), content_(content) {}

  absl::Status Make() {
    switch (entry_.type) {
      case TarEntry::Type::kFile:
        return MakeFile();
      case TarEntry::Type::kDirectory:
        return MakeDirectory();
      case TarEntry::Type::kSymlink:
        return MakeByName("symlinkat", [this](int directory_fd) {
          return ::symlinkat(entry_.link.c_str(), directory_fd, name_.c_str());
        });
      case TarEntry::Type::kCharDevice:
        return MakeNode(S_IFCHR);
      case TarEntry::Type::kBlockDevice:
        return MakeNode(S_IFBLK);
      case TarEntry::Type::kFifo:
        return MakeNode(S_IFIFO);
      case TarEntry::Type::kHardLink:
        break;
    }
    return absl::InternalError(absl::StrCat(PrintableName(path_), ": not an entry that can be made"));
  }

 private:
  absl::StatusOr<OpenDirectory*> OpenParent() {
    ASSIGN_OR_RETURN(OpenDirectory* const parent, tree_.Open(SplitPath(path_).first));
    if (parent != nullptr) return parent;
    return absl::InternalError(absl::StrCat(PrintableName(path_), ": its directory has vanished"));
  }

  // Calls `make` (a descriptor of the parent → -1 with errno on failure) once, and again if something had to give way.
  template <typename Make>
  absl::StatusOr<int> MakeReplacing(absl::string_view operation, Make make) {
    ASSIGN_OR_RETURN(OpenDirectory * parent, OpenParent());
    int result = make(parent->fd.get());
    if (result < 0 && errno == EEXIST) {
      RETURN_IF_ERROR(tree_.Remove(path_));
      ASSIGN_OR_RETURN(parent, OpenParent());
      result = make(parent->fd.get());
    }
    if (result < 0) return Failure(operation, path_);
    parent_fd_ = parent->fd.get();
    return result;
  }

  absl::Status MakeFile() {
    ASSIGN_OR_RETURN(const int opened, MakeReplacing("openat", [this](int directory_fd) {
                       return ::openat(directory_fd, name_.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                       entry_.metadata.mode & kPermissions);
                     }));
    const UniqueFd fd(opened);
    RETURN_IF_ERROR(WriteContent(fd.get()));
    return Finish(FileRef{parent_fd_, name_.c_str(), fd.get()});
  }

  absl::Status WriteContent(int fd) {
    int64_t end = 0;
    for (;;) {
      ASSIGN_OR_RETURN(TarReader::Block block, content_());
      if (block.data.empty()) break;
      while (!block.data.empty()) {
        const ssize_t written = ::pwrite(fd, block.data.data(), block.data.size(), block.offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return Failure("pwrite", path_);
        block.data.remove_prefix(static_cast<size_t>(written));
        block.offset += written;
      }
      end = std::max(end, block.offset);
    }
    // A hole at the end, or nothing but holes.
    if (end < entry_.size && ::ftruncate(fd, entry_.size) != 0) return Failure("ftruncate", path_);
    return absl::OkStatus();
  }

  absl::Status MakeDirectory() {
    if (HasDefaultAcl(entry_.metadata)) tree_.default_acl_seen = true;
    struct stat attributes {};
    ASSIGN_OR_RETURN(OpenDirectory* const existing, tree_.Open(path_));
    if (existing != nullptr) return Merge(*existing);
    ASSIGN_OR_RETURN(const bool exists, tree_.Stat(path_, attributes));
    if (exists || tree_.HasLinkAt(path_)) {
      RETURN_IF_ERROR(tree_.Remove(path_));
      // What is below was hidden by what was here, and a new directory brings nothing of it back.
      ASSIGN_OR_RETURN(PendingDirectory* const pending, tree_.pending().Ensure(path_));
      pending->opaque = true;
    }
    return tree_.MakeDirectory(path_, entry_.metadata).status();
  }

  absl::Status Merge(OpenDirectory& directory) {
    if (PendingDirectory* const pending = tree_.pending().Find(path_); pending != nullptr) pending->implied = false;
    RETURN_IF_ERROR(tree_.policy().RemoveOtherXattrs(directory.fd.get(), entry_.metadata, path_));
    return tree_.SetDirectoryMetadata(directory, entry_.metadata);
  }

  absl::Status MakeNode(mode_t type) {
    if (type != S_IFIFO) device_ = ::makedev(entry_.device_major, entry_.device_minor);
    type_ = type;
    return MakeByName("mknodat", [this](int directory_fd) {
      return tree_.policy().MakeNode(directory_fd, name_.c_str(), type_ | (entry_.metadata.mode & kPermissions),
                                     device_);
    });
  }

  template <typename Make>
  absl::Status MakeByName(absl::string_view operation, Make make) {
    RETURN_IF_ERROR(MakeReplacing(operation, make).status());
    return Finish(FileRef{parent_fd_, name_.c_str(), -1});
  }

  absl::Status Finish(const FileRef& file) {
    if (tree_.default_acl_seen && entry_.type != TarEntry::Type::kSymlink) {
      RETURN_IF_ERROR(RemoveInheritedAcl(file, false, path_));
    }
    struct stat attributes {};
    const int result = file.fd >= 0 ? ::fstat(file.fd, &attributes)
                                    : ::fstatat(file.directory_fd, file.name, &attributes, AT_SYMLINK_NOFOLLOW);
    if (result != 0) return Failure("fstat", path_);
    tree_.CountNew(attributes);
    tree_.policy().Made(attributes, type_, device_);
    return tree_.policy().Apply(file, attributes, entry_.metadata, true, path_);
  }

  LayerTree& tree_;
  const absl::string_view path_;
  const std::string name_;
  const TarEntry& entry_;
  const ContentSource content_;
  int parent_fd_ = -1;
  mode_t type_ = 0;  // of nodes
  dev_t device_ = 0;
};

}  // namespace

absl::Status MakeEntry(LayerTree& tree, absl::string_view path, const TarEntry& entry, ContentSource content) {
  return Maker(tree, path, entry, content).Make();
}

absl::Status MakeHardLink(LayerTree& tree, absl::string_view path, absl::string_view target,
                          const FileMetadata& metadata) {
  if (absl::StartsWith(target, JoinPath(path, ""))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the hard link's target ", PrintableName(target), " is in the directory that it replaces"));
  }
  RETURN_IF_ERROR(tree.Remove(path));
  const auto [to_directory, to_base] = SplitPath(path);
  const auto [from_directory, from_base] = SplitPath(target);
  const std::string name(to_base);
  ASSIGN_OR_RETURN(OpenDirectory* const from, tree.Open(from_directory));
  ASSIGN_OR_RETURN(OpenDirectory* const to, tree.Open(to_directory));
  if (from == nullptr || to == nullptr) {
    return absl::InternalError(absl::StrCat(PrintableName(path), ": its directory has vanished"));
  }
  if (::linkat(from->fd.get(), std::string(from_base).c_str(), to->fd.get(), name.c_str(), 0) != 0) {
    const int error = errno;
    return ErrnoStatus(error, "linkat", absl::StrCat(PrintableName(target), ", ", PrintableName(path)));
  }
  const FileRef file{to->fd.get(), name.c_str(), -1};
  struct stat attributes {};
  if (::fstatat(file.directory_fd, file.name, &attributes, AT_SYMLINK_NOFOLLOW) != 0) return Failure("fstatat", path);
  return tree.policy().Apply(file, attributes, metadata, true, path);
}

}  // namespace sluice
