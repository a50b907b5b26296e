#include "unpack/layer_settler.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"
#include "unpack/hard_links.h"
#include "unpack/merged_view.h"

namespace sluice {

using Found = TreeView::Found;

LayerSettler::LayerSettler(LayerTree& tree, LayersBelow& below, Interruption interruption)
    : tree_(tree),
      below_(below),
      interruption_(interruption),
      lookup_(below.view(), tree.pending()),
      placement_(tree, below.view(), lookup_) {}

absl::Status LayerSettler::Settle() {
  tree_.pending().SortWhiteouts();
  RETURN_IF_ERROR(placement_.PlaceAll());
  RETURN_IF_ERROR(PlaceLinks());
  RETURN_IF_ERROR(DropReplacedLinks(tree_));
  RETURN_IF_ERROR(ApplyBelow(tree_.pending().root()));
  for (PendingDirectory* const directory : tree_.pending().All()) {
    RETURN_IF_ERROR(interruption_.Check());
    RETURN_IF_ERROR(ApplyBelow(*directory));
  }
  RETURN_IF_ERROR(MakePendingLinks(
      tree_, [this](const PendingLink& link, const auto& pending) { return FindLinkTarget(link, pending); }));
  if (tree_.links().empty()) return absl::OkStatus();
  const PendingLink& link = tree_.links().front();
  return absl::InvalidArgumentError(absl::StrCat("entry ", PrintableName(link.path), ": the hard link's target ",
                                                 PrintableName(link.target), " is a hard link back to it"));
}

// REQUIRES: done for all directories above.
absl::Status LayerSettler::ApplyBelow(PendingDirectory& directory) {
  // Something that is no directory hides all that is below it.
  if (directory.parent != nullptr && directory.parent->covered) {
    directory.covered = true;
    return absl::OkStatus();
  }
  const std::string path = directory.Path();
  bool exists = directory.implied || path.empty();
  if (!exists) {
    struct stat attributes {};
    ASSIGN_OR_RETURN(exists, tree_.Stat(path, attributes));
    directory.covered = exists && !S_ISDIR(attributes.st_mode);
    if (directory.covered) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Found below, lookup_.At(path));
  if (below.kind != Found::Kind::kDirectory) return absl::OkStatus();
  if (directory.implied) RETURN_IF_ERROR(CopyAttributes(below, path));
  if (directory.opaque) return below_.HideContent(path);
  for (const absl::string_view name : directory.sorted_whiteouts) RETURN_IF_ERROR(Hide(path, below, name));
  return absl::OkStatus();
}

absl::Status LayerSettler::Hide(const std::string& directory, const Found& below, absl::string_view name) {
  ASSIGN_OR_RETURN(const Found hidden, below_.view().Child(below, directory, name));
  if (hidden.kind == Found::Kind::kNothing) return absl::OkStatus();
  const std::string path = JoinPath(directory, name);
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree_.Stat(path, attributes));
  if (!exists) {
    if (below_.marks_are_entries()) RETURN_IF_ERROR(MakeLikeBelow(directory));
    return below_.HideName(directory, name);
  }
  // What this layer has there hides it already, unless two directories would be merged.
  const bool merged = S_ISDIR(attributes.st_mode) && hidden.kind == Found::Kind::kDirectory;
  return merged ? below_.HideContent(path) : absl::OkStatus();
}

// The directories of the links may have been moved.
absl::Status LayerSettler::PlaceLinks() {
  for (PendingLink& link : tree_.links()) {
    const auto [directory, base] = SplitPath(link.path);
    ASSIGN_OR_RETURN(const std::string place, placement_.ResolveDirectory(directory));
    link.path = JoinPath(place, base);
  }
  return absl::OkStatus();
}

absl::Status LayerSettler::CopyAttributes(const Found& below, const std::string& path) {
  ASSIGN_OR_RETURN(const FileMetadata metadata, below_.DirectoryMetadata(below, path));
  return tree_.files().SetDirectory(path, metadata, /*all_xattrs=*/false);
}

absl::Status LayerSettler::MakeLikeBelow(absl::string_view path) {
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + (end == 0 ? 0 : 1)), path.size());
    const std::string prefix(path.substr(0, end));
    ASSIGN_OR_RETURN(const bool exists, tree_.IsDirectory(prefix));
    if (exists) continue;
    RETURN_IF_ERROR(tree_.files().MakeDirectory(prefix, FileMetadata()));
    ASSIGN_OR_RETURN(const Found below, lookup_.At(prefix));
    if (below.kind == Found::Kind::kDirectory) RETURN_IF_ERROR(CopyAttributes(below, prefix));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> LayerSettler::FindLinkTarget(
    const PendingLink& link, const absl::flat_hash_set<absl::string_view>& pending) {
  RETURN_IF_ERROR(interruption_.Check());
  const auto [directory, base] = SplitPath(link.target);
  ASSIGN_OR_RETURN(const std::string real_directory, placement_.ResolveDirectory(directory));
  std::string path = JoinPath(real_directory, base);
  struct stat attributes {};
  ASSIGN_OR_RETURN(bool exists, tree_.Stat(path, attributes));
  // A whiteout hides what is below, not a link that is still to be made there.
  exists = exists && !IsWhiteoutDevice(attributes);
  const bool is_directory = exists && S_ISDIR(attributes.st_mode);
  if (exists && !is_directory) return path;
  if (!exists && pending.contains(path)) return std::nullopt;
  Found found;
  if (!exists) {
    ASSIGN_OR_RETURN(found, lookup_.At(path));
  }
  if (is_directory || found.kind == Found::Kind::kDirectory) {
    return absl::InvalidArgumentError(absl::StrCat("a hard link to the directory ", PrintableName(link.target)));
  }
  if (found.kind == Found::Kind::kNothing) {
    return absl::InvalidArgumentError(
        absl::StrCat("the hard link's target ", PrintableName(link.target), " does not exist"));
  }
  RETURN_IF_ERROR(MakeLikeBelow(real_directory));
  RETURN_IF_ERROR(below_.CopyUp(found, path));
  return path;
}

}  // namespace sluice
