// The tree of files that a layer, or an image, is made into: on a disk, or in memory.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/directory_names.h"
#include "unpack/file_metadata.h"
#include "unpack/tar_entry.h"
#include "unpack/tar_reader.h"

namespace sluice {

// The pieces of a file's content in order, without its holes; empty data at the end.
using ContentSource = absl::FunctionRef<absl::StatusOr<TarReader::Block>()>;

// One thread at a time. "Path" is a path below the root that no symlink of this tree is part of; "" is the root.
class FileTree {
 public:
  virtual ~FileTree() = default;

  // Whether a directory is at `path`.
  virtual absl::StatusOr<bool> IsDirectory(absl::string_view path) = 0;
  // What is at `path`, not followed; false if nothing. Of the attributes only the type counts.
  virtual absl::StatusOr<bool> Stat(absl::string_view path, struct stat& attributes) = 0;
  // The text of the symlink at `path`.
  virtual absl::StatusOr<std::string> ReadLink(absl::string_view path) = 0;
  // Some of the names in a directory, as SomeNamesIn.
  virtual absl::StatusOr<std::vector<DirectoryName>> SomeNames(absl::string_view directory) = 0;
  virtual absl::StatusOr<FileMetadata> ReadDirectory(absl::string_view path) = 0;

  // Makes a directory where nothing is, in a directory that is there.
  virtual absl::Status MakeDirectory(absl::string_view path, const FileMetadata& metadata) = 0;
  // Extended attributes that `metadata` has not stay, or go if `all_xattrs`.
  virtual absl::Status SetDirectory(absl::string_view path, const FileMetadata& metadata, bool all_xattrs) = 0;
  // Makes `entry`, which is no directory and no hard link, in a directory that is there. False, and nothing was done,
  // if something is at `path`. `entry.name` is not looked at.
  virtual absl::StatusOr<bool> MakeFile(absl::string_view path, const TarEntry& entry, ContentSource content) = 0;
  // Makes `path`, where nothing is, another name of `target`, which is no directory, and puts `metadata` on what both
  // now name.
  virtual absl::Status MakeHardLink(absl::string_view path, absl::string_view target, const FileMetadata& metadata) = 0;
  // Removes what is at `path`, with all below it.
  virtual absl::Status Remove(absl::string_view path) = 0;
  // Moves what is at `from` to `to`, where nothing is, in a directory that is there.
  virtual absl::Status Rename(absl::string_view from, absl::string_view to) = 0;
};

}  // namespace sluice
