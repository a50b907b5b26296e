#include "unpack/entry_maker.h"

#include <sys/stat.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

absl::Status MakeDirectory(LayerTree& tree, absl::string_view path, const FileMetadata& metadata) {
  ASSIGN_OR_RETURN(const bool is_directory, tree.IsDirectory(path));
  if (is_directory) {
    if (PendingDirectory* const pending = tree.pending().Find(path); pending != nullptr) pending->implied = false;
    return tree.files().SetDirectory(path, metadata, /*all_xattrs=*/true);
  }
  struct stat attributes {};
  ASSIGN_OR_RETURN(const bool exists, tree.Stat(path, attributes));
  if (exists || tree.HasLinkAt(path)) {
    RETURN_IF_ERROR(tree.Remove(path));
    // What is below was hidden by what was here, and a new directory brings nothing of it back.
    ASSIGN_OR_RETURN(PendingDirectory* const pending, tree.pending().Ensure(path));
    pending->opaque = true;
  }
  return tree.files().MakeDirectory(path, metadata);
}

}  // namespace

absl::Status MakeEntry(LayerTree& tree, absl::string_view path, const TarEntry& entry, ContentSource content) {
  if (entry.type == TarEntry::Type::kDirectory) return MakeDirectory(tree, path, entry.metadata);
  ASSIGN_OR_RETURN(bool made, tree.files().MakeFile(path, entry, content));
  if (made) return absl::OkStatus();
  RETURN_IF_ERROR(tree.Remove(path));
  ASSIGN_OR_RETURN(made, tree.files().MakeFile(path, entry, content));
  return made ? absl::OkStatus() : absl::AlreadyExistsError(absl::StrCat(PrintableName(path), ": comes back"));
}

absl::Status MakeHardLink(LayerTree& tree, absl::string_view path, absl::string_view target,
                          const FileMetadata& metadata) {
  if (absl::StartsWith(target, JoinPath(path, ""))) {
    return absl::InvalidArgumentError(
        absl::StrCat("the hard link's target ", PrintableName(target), " is in the directory that it replaces"));
  }
  RETURN_IF_ERROR(tree.Remove(path));
  return tree.files().MakeHardLink(path, target, metadata);
}

}  // namespace sluice
