#include "unpack/layer_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "unpack/disk_usage.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr int kMaxLinks = 255;
constexpr int64_t kBlockBytes = 512;

absl::Status NotADirectory(absl::string_view path) {
  return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), " is not a directory"));
}

}  // namespace

LayerTree::LayerTree(int root_fd, const UnpackLimits& limits, MetadataPolicy& policy)
    : max_depth_(limits.max_depth),
      policy_(policy),
      budget_(limits.max_bookkeeping_bytes),
      directories_(RootedDirectory(root_fd)),
      pending_(budget_),
      log_(budget_) {
  struct stat attributes {};
  if (::fstat(root_fd, &attributes) == 0) blocks_ = attributes.st_blocks;
}

absl::StatusOr<OpenDirectory*> LayerTree::OpenOrImply(absl::string_view path, absl::string_view like) {
  ASSIGN_OR_RETURN(OpenDirectory * directory, Open(path));
  if (directory != nullptr) return directory;
  // Downwards from the deepest one that is there.
  size_t end = 0;
  while (end < path.size()) {
    end = std::min(path.find('/', end + (end == 0 ? 0 : 1)), path.size());
    const absl::string_view prefix = path.substr(0, end);
    ASSIGN_OR_RETURN(directory, Open(prefix));
    if (directory != nullptr) continue;
    struct stat attributes {};
    ASSIGN_OR_RETURN(const bool exists, Stat(prefix, attributes));
    if (exists || HasLinkAt(prefix)) return NotADirectory(prefix);
    ASSIGN_OR_RETURN(directory, MakeDirectory(prefix, FileMetadata()));
    ASSIGN_OR_RETURN(PendingDirectory* const pending, pending_.Ensure(prefix));
    pending_.SetImplied(*pending);
    RETURN_IF_ERROR(like.empty() ? LogEntry(prefix) : log_.Move(like, prefix, /*with_content=*/false));
  }
  return directory;
}

absl::StatusOr<OpenDirectory*> LayerTree::OpenNamed(absl::string_view name) {
  ASSIGN_OR_RETURN(OpenDirectory* const directory, Open(name));
  if (directory != nullptr) return directory;
  ASSIGN_OR_RETURN(const std::string path, Resolve(name));
  return OpenOrImply(path);
}

absl::StatusOr<std::string> LayerTree::Resolve(absl::string_view name) {
  std::string path;
  std::vector<std::string> rest;  // components to come, the next one last
  PushComponents(name, rest);
  int links = 0;
  while (!rest.empty()) {
    const std::string component = std::move(rest.back());
    rest.pop_back();
    if (component == "..") {
      path = std::string(SplitPath(path).first);
      continue;
    }
    const std::string next = JoinPath(path, component);
    if (std::count(next.begin(), next.end(), '/') >= max_depth_) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", max_depth_, " path components behind symlinks"));
    }
    struct stat attributes {};
    ASSIGN_OR_RETURN(const bool exists, Stat(next, attributes));
    if (exists && S_ISLNK(attributes.st_mode)) {
      if (++links > kMaxLinks) {
        return absl::InvalidArgumentError(absl::StrCat(PrintableName(name), ": too many symlinks"));
      }
      ASSIGN_OR_RETURN(const std::string target, ReadLink(next));
      if (absl::StartsWith(target, "/")) path.clear();
      PushComponents(target, rest);
      continue;
    }
    if (exists && !S_ISDIR(attributes.st_mode)) return NotADirectory(next);
    if (!rest.empty() && rest.back() == "..") {
      // Whether "next/.." is `path` depends on what is below: it is taken so, and looked at in the end.
      PendingDirectory* pending = pending_.Find(next);
      const bool listed = exists && (pending == nullptr || !pending->implied);
      if (!listed) {
        ASSIGN_OR_RETURN(pending, pending_.Ensure(next));
        pending->left_by_dotdot = true;
      }
    }
    path = next;
  }
  return path;
}

absl::StatusOr<bool> LayerTree::Stat(absl::string_view path, struct stat& attributes) {
  const auto [directory, name] = SplitPath(path);
  ASSIGN_OR_RETURN(OpenDirectory* const parent, Open(directory));
  if (parent == nullptr) return false;
  if (::fstatat(parent->fd.get(), std::string(name).c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  return ErrnoStatus(errno, "fstatat", PrintableName(path));
}

absl::StatusOr<std::string> LayerTree::ReadLink(absl::string_view path) {
  const auto [directory, name] = SplitPath(path);
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, Open(directory));
  if (parent == nullptr) return NotADirectory(directory);
  std::array<char, PATH_MAX> text;
  const ssize_t size = ::readlinkat(parent->fd.get(), std::string(name).c_str(), text.data(), text.size());
  if (size < 0) return ErrnoStatus(errno, "readlinkat", PrintableName(path));
  return std::string(text.data(), static_cast<size_t>(size));
}

absl::Status LayerTree::Remove(absl::string_view path) {
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, Stat(path, attributes));
  if (!exists) return absl::OkStatus();
  const auto [directory, name] = SplitPath(path);
  if (S_ISDIR(attributes.st_mode)) {
    RETURN_IF_ERROR(directories_.Flush());
    pending_.Forget(path);
    recount_ = true;
    ASSIGN_OR_RETURN(OpenDirectory* const parent, Open(directory));
    return RemoveTreeAt(parent->fd.get(), name);
  }
  ASSIGN_OR_RETURN(OpenDirectory* const parent, Open(directory));
  if (::unlinkat(parent->fd.get(), std::string(name).c_str(), 0) != 0) {
    return ErrnoStatus(errno, "unlinkat", PrintableName(path));
  }
  CountGone(attributes);
  return absl::OkStatus();
}

absl::StatusOr<OpenDirectory*> LayerTree::MakeDirectory(absl::string_view path, const FileMetadata& metadata) {
  const auto [directory, base] = SplitPath(path);
  const std::string name(base);
  ASSIGN_OR_RETURN(OpenDirectory* const parent, Open(directory));
  if (parent == nullptr) return NotADirectory(directory);
  // Its own mode might shut us out.
  if (::mkdirat(parent->fd.get(), name.c_str(), S_IRWXU | (metadata.mode & 0777)) != 0) {
    return ErrnoStatus(errno, "mkdirat", PrintableName(path));
  }
  UniqueFd fd(::openat(parent->fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "openat", PrintableName(path));
  const FileRef file{.fd = fd.get()};
  if (default_acl_seen) RETURN_IF_ERROR(RemoveInheritedAcl(file, true, path));
  struct stat attributes {};
  if (::fstat(fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(path));
  policy_.Made(attributes, S_IFDIR, 0);
  RETURN_IF_ERROR(policy_.Apply(file, attributes, metadata, false, path));
  ++inodes_;
  return directories_.Add(path, std::move(fd), metadata.times);
}

absl::Status LayerTree::SetDirectoryMetadata(OpenDirectory& directory, const FileMetadata& metadata) {
  struct stat attributes {};
  if (::fstat(directory.fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(directory.path));
  directory.times = metadata.times;
  return policy_.Apply(FileRef{.fd = directory.fd.get()}, attributes, metadata, false, directory.path);
}

absl::Status LayerTree::LogEntry(absl::string_view path) {
  return pending_.any_implied() ? log_.Add(path) : absl::OkStatus();
}

void LayerTree::CountGone(const struct stat& attributes) {
  if (attributes.st_nlink > 1) return;
  blocks_ -= attributes.st_blocks;
  --inodes_;
}

absl::Status LayerTree::AddLink(PendingLink link) {
  size_t bytes = sizeof(PendingLink) + link.path.size() + link.target.size() + 64;
  for (const ExtendedAttribute& xattr : link.metadata.xattrs) {
    bytes += sizeof(xattr) + xattr.name.size() + xattr.value.size();
  }
  RETURN_IF_ERROR(budget_.Take(bytes + link.path.size() + 2 * sizeof(std::string)));
  link_paths_.insert(link.path);
  links_.push_back(std::move(link));
  return absl::OkStatus();
}

absl::StatusOr<LayerTree::Usage> LayerTree::FinishUsage() {
  RETURN_IF_ERROR(directories_.Flush());
  if (!recount_) return Usage{(blocks_ + directories_.blocks()) * kBlockBytes, inodes_};
  ASSIGN_OR_RETURN(const DiskUsage usage, CountDiskUsage(directories_.root()));
  return Usage{usage.bytes, usage.inodes};
}

}  // namespace sluice
