#include "unpack/placement.h"

#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/directory_names.h"
#include "unpack/entry_name.h"

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
  ASSIGN_OR_RETURN(const OpenDirectory* const opened, tree_.Open(path));
  if (opened == nullptr) return Annotate(status, absl::StrCat("whiteouts in ", PrintableName(path)));
  ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, SomeNamesIn(opened->fd.get(), path));
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
  ASSIGN_OR_RETURN(const MergedView::Found found, below_.At(path));
  if (found.kind != MergedView::Found::Kind::kSymlink) return absl::OkStatus();
  if (directory.left_by_dotdot) {
    return absl::FailedPreconditionError(
        absl::StrCat("a symlink goes through ", PrintableName(path), "/.., and that is a symlink in a layer below"));
  }
  return Relocate(directory, found, links);
}

absl::Status Placement::Relocate(PendingDirectory& directory, const MergedView::Found& symlink, int& links) {
  const std::string path = directory.Path();
  if (++links > kMaxLinks) return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), ": too many symlinks"));
  ASSIGN_OR_RETURN(const std::string text, view_.ReadLink(symlink, path));
  directory.relocating = true;
  const bool has_content = directory.implied;
  ASSIGN_OR_RETURN(const std::string target, Resolve(SplitPath(path).first, text, links));
  if (has_content) {
    RETURN_IF_ERROR(tree_.OpenOrImply(target, path).status());
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
    ASSIGN_OR_RETURN(text, tree_.ReadLink(path));
  } else if (exists && !IsWhiteoutDevice(attributes)) {
    return NotADirectory(path);
  } else {
    ASSIGN_OR_RETURN(const MergedView::Found found, below_.At(path));
    if (found.kind != MergedView::Found::Kind::kSymlink) return std::nullopt;
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
    ASSIGN_OR_RETURN(const OpenDirectory* const opened, tree_.Open(source));
    if (opened == nullptr) return NotADirectory(source);
    ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, SomeNamesIn(opened->fd.get(), source));
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
  RETURN_IF_ERROR(Rename(source, target));
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
    RETURN_IF_ERROR(tree_.OpenOrImply(place, source).status());
    MarkPlaced(place);
    RETURN_IF_ERROR(MergeDirectories(source, place, links));
    return tree_.Remove(source);
  }
  if (!IsLater(source, target)) return tree_.Remove(source);
  RETURN_IF_ERROR(tree_.Remove(target));
  RETURN_IF_ERROR(Rename(source, target));
  return MovePending(source, target);
}

absl::Status Placement::Rename(const std::string& source, const std::string& target) {
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree_.Stat(source, attributes));
  const bool is_directory = exists && S_ISDIR(attributes.st_mode);
  if (is_directory) RETURN_IF_ERROR(tree_.directories().Flush());
  const auto [from_directory, from_name] = SplitPath(source);
  const auto [to_directory, to_name] = SplitPath(target);
  ASSIGN_OR_RETURN(const OpenDirectory* const from, tree_.Open(from_directory));
  ASSIGN_OR_RETURN(const OpenDirectory* const to, tree_.Open(to_directory));
  if (from == nullptr || to == nullptr) return NotADirectory(from == nullptr ? from_directory : to_directory);
  if (::renameat(from->fd.get(), std::string(from_name).c_str(), to->fd.get(), std::string(to_name).c_str()) != 0) {
    const int error = errno;
    return ErrnoStatus(error, "renameat", absl::StrCat(PrintableName(source), ", ", PrintableName(target)));
  }
  return tree_.log().Move(source, target, is_directory);
}

absl::Status Placement::CopyListing(const std::string& source, const std::string& target) {
  ASSIGN_OR_RETURN(const OpenDirectory* const from, tree_.Open(source));
  ASSIGN_OR_RETURN(OpenDirectory* const to, tree_.Open(target));
  struct stat attributes {};
  if (::fstat(from->fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(source));
  ASSIGN_OR_RETURN(FileMetadata metadata, tree_.policy().Read(FileRef{.fd = from->fd.get()}, attributes, source));
  metadata.times = from->times;
  if (PendingDirectory* const pending = tree_.pending().Find(target); pending != nullptr) pending->implied = false;
  return tree_.SetDirectoryMetadata(*to, metadata);
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
