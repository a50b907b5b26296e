#include "unpack/placement.h"

#include <sys/stat.h>

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"
#include "unpack/merged_view.h"

namespace sluice {
namespace {

constexpr int kMaxLinks = 255;

absl::Status NotADirectory(absl::string_view path) {
  return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), " is not a directory"));
}

}  // namespace

absl::Status Placement::PlaceAll() {
  for (PendingDirectory* const directory : tree_.pending().All()) {
    int links = 0;
    if (const absl::Status status = Place(*directory, links); !status.ok()) return InEntryBelow(*directory, status);
  }
  return absl::OkStatus();
}

// What can't be placed is a directory that no entry names: one of those that need it says more.
absl::Status Placement::InEntryBelow(const PendingDirectory& directory, const absl::Status& status) {
  const std::string path = directory.Path();
  ASSIGN_OR_RETURN(const bool is_directory, tree_.IsDirectory(path));
  if (!is_directory) return Annotate(status, absl::StrCat("whiteouts in ", PrintableName(path)));
  ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, tree_.files().SomeNames(path));
  const std::string example = names.empty() ? path : JoinPath(path, names.front().name);
  return Annotate(status, absl::StrCat("entry ", PrintableName(example)));
}

absl::StatusOr<std::string> Placement::ResolveDirectory(absl::string_view name) {
  int links = 0;
  return Resolve("", name, links);
}

// REQUIRES: all directories above are placed.
absl::Status Placement::Place(PendingDirectory& directory, int& links) {
  if (std::exchange(directory.placed, true)) return absl::OkStatus();
  const std::string path = directory.Path();
  if (!directory.implied) {
    struct stat attributes {};
    ASSIGN_OR_RETURN(const bool exists, tree_.Stat(path, attributes));
    if (exists) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const TreeView::Found found, below_.At(path));
  if (found.kind != TreeView::Found::Kind::kSymlink) return absl::OkStatus();
  if (directory.left_by_dotdot) {
    return absl::FailedPreconditionError(
        absl::StrCat("a symlink goes through ", PrintableName(path), "/.., and that is a symlink in a layer below"));
  }
  return Relocate(directory, found, links);
}

absl::Status Placement::Relocate(PendingDirectory& directory, const TreeView::Found& symlink, int& links) {
  const std::string path = directory.Path();
  if (++links > kMaxLinks) return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), ": too many symlinks"));
  ASSIGN_OR_RETURN(const std::string text, view_.ReadLink(symlink, path));
  directory.relocating = true;
  const bool has_content = directory.implied;
  ASSIGN_OR_RETURN(const std::string target, Resolve(SplitPath(path).first, text, links));
  if (has_content) {
    RETURN_IF_ERROR(tree_.EnsureDirectory(target, path));
    MarkPlaced(target);
    RETURN_IF_ERROR(MergeDirectories(path, target, links));
    RETURN_IF_ERROR(tree_.Remove(path));
  } else {
    ASSIGN_OR_RETURN(PendingDirectory* const pending, tree_.pending().Ensure(target));
    MarkPlaced(target);
    MergePending(directory, *pending);
  }
  Detach(directory);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Placement::Resolve(absl::string_view base, absl::string_view text, int& links) {
  std::string path = absl::StartsWith(text, "/") ? std::string() : std::string(base);
  std::vector<std::string> rest;  // components to come, the next one last
  PushComponents(text, rest);
  while (!rest.empty()) {
    const std::string component = std::move(rest.back());
    rest.pop_back();
    if (component == "..") {
      path = std::string(SplitPath(path).first);
      continue;
    }
    const std::string next = JoinPath(path, component);
    PendingDirectory* const pending = tree_.pending().Find(next);
    if (pending != nullptr && !pending->relocating) RETURN_IF_ERROR(Place(*pending, links));
    ASSIGN_OR_RETURN(const std::optional<std::string> link, SymlinkAt(next, links));
    if (!link.has_value()) {
      path = next;
      continue;
    }
    if (absl::StartsWith(*link, "/")) path.clear();
    PushComponents(*link, rest);
  }
  return path;
}

absl::StatusOr<std::optional<std::string>> Placement::SymlinkAt(const std::string& path, int& links) {
  const PendingDirectory* const pending = tree_.pending().Find(path);
  struct stat attributes {};
  bool exists = false;
  if (pending == nullptr || !pending->relocating) {
    ASSIGN_OR_RETURN(exists, tree_.Stat(path, attributes));
  }
  if (exists && S_ISDIR(attributes.st_mode)) return std::nullopt;
  std::optional<std::string> text;
  if (exists && S_ISLNK(attributes.st_mode)) {
    ASSIGN_OR_RETURN(text, tree_.files().ReadLink(path));
  } else if (exists && !IsWhiteoutDevice(attributes)) {
    return NotADirectory(path);
  } else {
    ASSIGN_OR_RETURN(const TreeView::Found found, below_.At(path));
    if (found.kind != TreeView::Found::Kind::kSymlink) return std::nullopt;
    ASSIGN_OR_RETURN(text, view_.ReadLink(found, path));
  }
  if (++links > kMaxLinks) return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), ": too many symlinks"));
  return text;
}

// Every directory on the way to `path` was just seen not to be a symlink below.
void Placement::MarkPlaced(absl::string_view path) {
  for (PendingDirectory* at = tree_.pending().Find(path); at != nullptr; at = at->parent) at->placed = true;
}

absl::Status Placement::MergeDirectories(const std::string& source, const std::string& target, int& links) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool is_directory, tree_.IsDirectory(source));
    if (!is_directory) return NotADirectory(source);
    ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, tree_.files().SomeNames(source));
    if (names.empty()) break;
    for (const DirectoryName& entry : names) {
      RETURN_IF_ERROR(MoveEntry(JoinPath(source, entry.name), JoinPath(target, entry.name), links));
    }
  }
  PendingDirectory* const from = tree_.pending().Find(source);
  if (from == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(PendingDirectory* const to, tree_.pending().Ensure(target));
  MergePending(*from, *to);
  return absl::OkStatus();
}

absl::Status Placement::MoveEntry(const std::string& source, const std::string& target, int& links) {
  if (PendingDirectory* const there = tree_.pending().Find(target); there != nullptr) {
    if (there->relocating) {
      return absl::FailedPreconditionError(
          absl::StrCat("a symlink in a layer below leads ", PrintableName(source), " to the symlink's own place"));
    }
    RETURN_IF_ERROR(Place(*there, links));
  }
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree_.Stat(target, attributes));
  if (exists) return MoveOntoExisting(source, target, links);
  RETURN_IF_ERROR(tree_.Rename(source, target));
  return MovePending(source, target);
}

absl::Status Placement::MoveOntoExisting(const std::string& source, const std::string& target, int& links) {
  struct stat source_stat {};
  struct stat target_stat {};
  RETURN_IF_ERROR(tree_.Stat(source, source_stat).status());
  RETURN_IF_ERROR(tree_.Stat(target, target_stat).status());
  const bool source_is_directory = S_ISDIR(source_stat.st_mode);
  if (source_is_directory && S_ISDIR(target_stat.st_mode)) {
    const bool listed = IsListed(source);
    if (listed && (!IsListed(target) || IsLater(source, target))) {
      RETURN_IF_ERROR(CopyListing(source, target));
      RETURN_IF_ERROR(tree_.log().Move(source, target, /*with_content=*/false));
    }
    RETURN_IF_ERROR(MergeDirectories(source, target, links));
    return tree_.Remove(source);
  }
  if (source_is_directory && !IsListed(source)) {
    // What is below it is meant for where the other entry leads.
    ASSIGN_OR_RETURN(const std::string place, Resolve("", target, links));
    RETURN_IF_ERROR(tree_.EnsureDirectory(place, source));
    MarkPlaced(place);
    RETURN_IF_ERROR(MergeDirectories(source, place, links));
    return tree_.Remove(source);
  }
  if (!IsLater(source, target)) return tree_.Remove(source);
  RETURN_IF_ERROR(tree_.Remove(target));
  RETURN_IF_ERROR(tree_.Rename(source, target));
  return MovePending(source, target);
}

absl::Status Placement::CopyListing(const std::string& source, const std::string& target) {
  ASSIGN_OR_RETURN(const FileMetadata metadata, tree_.files().ReadDirectory(source));
  if (PendingDirectory* const pending = tree_.pending().Find(target); pending != nullptr) pending->implied = false;
  return tree_.files().SetDirectory(target, metadata, /*all_xattrs=*/false);
}

bool Placement::IsListed(absl::string_view directory) {
  const PendingDirectory* const pending = tree_.pending().Find(directory);
  return pending == nullptr || !pending->implied;
}

// What is not in the log was written before any directory was implied.
bool Placement::IsLater(absl::string_view path, absl::string_view other) {
  return tree_.log().LastPosition(path) >= tree_.log().LastPosition(other);
}

absl::Status Placement::MovePending(absl::string_view source, absl::string_view target) {
  PendingDirectory* const from = tree_.pending().Find(source);
  if (from == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(PendingDirectory* const to, tree_.pending().Ensure(target));
  to->implied = from->implied;
  to->placed = false;
  MergePending(*from, *to);
  // `to` is in nobody's list.
  int links = 0;
  RETURN_IF_ERROR(Place(*to, links));
  Detach(*from);
  return absl::OkStatus();
}

void Placement::MergePending(PendingDirectory& source, PendingDirectory& target) {
  target.whiteouts += source.whiteouts;
  source.whiteouts.clear();
  source.sorted_whiteouts.clear();
  target.SortWhiteouts();
  target.opaque |= source.opaque;
  target.left_by_dotdot |= source.left_by_dotdot;
  for (auto& [name, child] : source.children) {
    std::unique_ptr<PendingDirectory>& there = target.children[name];
    if (there == nullptr) {
      child->parent = &target;
      there = std::move(child);
      continue;
    }
    MergePending(*child, *there);
    child->placed = true;
    detached_.push_back(std::move(child));
  }
  source.children.clear();
  below_.Forget();
}

void Placement::Detach(PendingDirectory& directory) {
  const auto in_parent = directory.parent->children.find(directory.name);
  directory.placed = true;
  detached_.push_back(std::move(in_parent->second));
  directory.parent->children.erase(in_parent);
  below_.Forget();
}

}  // namespace sluice
