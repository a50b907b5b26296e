// A tree of files in an index: nothing is on a disk.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/file_index.h"
#include "unpack/file_tree.h"

namespace sluice {

class IndexTree : public FileTree {
 public:
  // A new, empty tree. `index` is borrowed; files are noted as those of layer number `layer`.
  IndexTree(FileIndex& index, uint32_t layer);

  absl::StatusOr<bool> IsDirectory(absl::string_view path) override;
  absl::StatusOr<bool> Stat(absl::string_view path, struct stat& attributes) override;
  absl::StatusOr<std::string> ReadLink(absl::string_view path) override;
  absl::StatusOr<std::vector<DirectoryName>> SomeNames(absl::string_view directory) override;
  absl::StatusOr<FileMetadata> ReadDirectory(absl::string_view path) override;

  absl::Status MakeDirectory(absl::string_view path, const FileMetadata& metadata) override;
  absl::Status SetDirectory(absl::string_view path, const FileMetadata& metadata, bool all_xattrs) override;
  absl::StatusOr<bool> MakeFile(absl::string_view path, const TarEntry& entry, ContentSource content) override;
  absl::Status MakeHardLink(absl::string_view path, absl::string_view target, const FileMetadata& metadata) override;
  absl::Status Remove(absl::string_view path) override;
  absl::Status Rename(absl::string_view from, absl::string_view to) override;

  FileIndex& index() { return index_; }
  FileId root() const { return root_; }
  // What is at `path`, not followed.
  std::optional<FileId> Find(absl::string_view path);
  // Makes `path`, where nothing is, a new file like `file`, with the same content.
  absl::Status Copy(absl::string_view path, FileId file);
  // Moves all that is in `upper`, a tree of the same index, over this one, as a mount would show the two; the root
  // keeps its metadata. `upper` is not used any more.
  absl::Status MoveOver(IndexTree& upper);

 private:
  // REQUIRES: nothing is at `path`.
  absl::Status Add(absl::string_view path, FileId file);
  std::optional<FileId> FindDirectory(absl::string_view path);
  absl::Status MoveOver(FileId upper, FileId lower, std::vector<std::pair<FileId, FileId>>& rest);

  FileIndex& index_;
  const uint32_t layer_;
  const FileId root_;
  // The directory that was last looked for: entries of one mostly come together.
  std::string last_path_;
  FileId last_directory_;
};

}  // namespace sluice
