#include "unpack/index_below.h"

#include <vector>

#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {

absl::StatusOr<TreeView::Found> IndexBelow::Root() const { return At(""); }

absl::StatusOr<TreeView::Found> IndexBelow::Child(const Found& parent, absl::string_view parent_path,
                                                  absl::string_view name) const {
  if (parent.kind != Found::Kind::kDirectory) return Found();
  return At(JoinPath(parent_path, name));
}

absl::StatusOr<TreeView::Found> IndexBelow::At(absl::string_view path) const {
  Found found;
  ASSIGN_OR_RETURN(const bool exists, below_.Stat(path, found.attributes));
  if (!exists) return found;
  found.layers = {0};
  found.kind = Found::Kind::kOther;
  if (S_ISDIR(found.attributes.st_mode)) found.kind = Found::Kind::kDirectory;
  if (S_ISLNK(found.attributes.st_mode)) found.kind = Found::Kind::kSymlink;
  return found;
}

absl::StatusOr<std::string> IndexBelow::ReadLink(const Found& /*symlink*/, absl::string_view path) const {
  return below_.ReadLink(path);
}

absl::StatusOr<FileMetadata> IndexBelow::DirectoryMetadata(const Found& /*found*/, absl::string_view path) const {
  return below_.ReadDirectory(path);
}

absl::Status IndexBelow::CopyUp(const Found& /*file*/, absl::string_view path) {
  const std::optional<FileId> file = below_.Find(path);
  if (!file.has_value()) return absl::InternalError("the file to be copied up has vanished");
  return layer_.Copy(path, *file);
}

absl::Status IndexBelow::HideName(absl::string_view directory, absl::string_view name) {
  return below_.Remove(JoinPath(directory, name));
}

absl::Status IndexBelow::HideContent(absl::string_view directory) {
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, below_.SomeNames(directory));
    if (names.empty()) return absl::OkStatus();
    for (const DirectoryName& entry : names) RETURN_IF_ERROR(below_.Remove(JoinPath(directory, entry.name)));
  }
}

}  // namespace sluice
