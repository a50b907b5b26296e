#include "unpack/layer_tree.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr int kMaxLinks = 255;

absl::Status NotADirectory(absl::string_view path) {
  return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), " is not a directory"));
}

}  // namespace

LayerTree::LayerTree(FileTree& files, const UnpackLimits& limits)
    : max_depth_(limits.max_depth),
      budget_(limits.max_bookkeeping_bytes),
      files_(files),
      pending_(budget_),
      log_(budget_) {}

absl::Status LayerTree::EnsureDirectory(absl::string_view path, absl::string_view like) {
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(path));
  if (is_directory) return absl::OkStatus();
  // Downwards from the deepest one that is there.
  size_t end = 0;
  while (end < path.size()) {
    end = std::min(path.find('/', end + (end == 0 ? 0 : 1)), path.size());
    const absl::string_view prefix = path.substr(0, end);
    ASSIGN_OR_RETURN(const bool is_there, IsDirectory(prefix));
    if (is_there) continue;
    struct stat attributes {};
    ASSIGN_OR_RETURN(const bool exists, Stat(prefix, attributes));
    if (exists || HasLinkAt(prefix)) return NotADirectory(prefix);
    RETURN_IF_ERROR(files_.MakeDirectory(prefix, FileMetadata()));
    ASSIGN_OR_RETURN(PendingDirectory* const pending, pending_.Ensure(prefix));
    pending_.SetImplied(*pending);
    RETURN_IF_ERROR(like.empty() ? LogEntry(prefix) : log_.Move(like, prefix, /*with_content=*/false));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LayerTree::EnsureNamed(absl::string_view name) {
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(name));
  if (is_directory) return std::string(name);
  ASSIGN_OR_RETURN(std::string path, Resolve(name));
  RETURN_IF_ERROR(EnsureDirectory(path));
  return path;
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
      ASSIGN_OR_RETURN(const std::string target, files_.ReadLink(next));
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

absl::Status LayerTree::Remove(absl::string_view path) {
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(path));
  if (is_directory) pending_.Forget(path);
  return files_.Remove(path);
}

absl::Status LayerTree::Rename(absl::string_view from, absl::string_view to) {
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(from));
  RETURN_IF_ERROR(files_.Rename(from, to));
  return log_.Move(from, to, /*with_content=*/is_directory);
}

absl::Status LayerTree::LogEntry(absl::string_view path) {
  return pending_.any_implied() ? log_.Add(path) : absl::OkStatus();
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

}  // namespace sluice
