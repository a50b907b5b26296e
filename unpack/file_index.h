// The files of an image in memory: all but their content, of which is known in which layer it is.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/file_metadata.h"

namespace sluice {

using FileId = uint32_t;

// One inode. Two million of them and their names take about 300 MiB.
struct IndexedFile {
  // What most files have not.
  struct Extra {
    std::string link;  // of symlinks the text
    std::vector<ExtendedAttribute> xattrs;
    absl::btree_map<std::string, FileId> children;  // of directories
  };

  mode_t mode = 0;  // with the type
  uid_t uid = 0;
  gid_t gid = 0;
  uint32_t mtime_nanoseconds = 0;
  int64_t mtime = 0;
  int64_t size = 0;  // of regular files
  dev_t device = 0;
  uint32_t layer = 0;  // where the archive has its content
  uint32_t entry = 0;  // which of the layer's
  uint32_t names = 0;  // that it has
  std::unique_ptr<Extra> extra;

  bool is_directory() const;
  FileMetadata Metadata() const;
};

// One thread at a time.
class FileIndex {
 public:
  explicit FileIndex(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // A new file without a name.
  FileId Add();
  IndexedFile& operator[](FileId id) { return files_[id]; }
  const IndexedFile& operator[](FileId id) const { return files_[id]; }
  // Extended attributes that `metadata` has not stay, or go if `all_xattrs`. What no disk takes on a file of this type
  // is left out.
  void SetMetadata(FileId id, const FileMetadata& metadata, bool all_xattrs);

  // The child of a directory with this name; false if there is none.
  bool Find(FileId directory, absl::string_view name, FileId& child) const;
  // Gives `child`, of which only the metadata will change, a name that is free. InvalidArgument: the index takes too
  // much memory.
  absl::Status AddName(FileId directory, absl::string_view name, FileId child);
  // Takes a name away, and with the last one the file, all below it included.
  void RemoveName(FileId directory, absl::string_view name);
  // Takes a name away; the file stays, for AddName or Drop.
  FileId TakeName(FileId directory, absl::string_view name);
  // Forgets the file, if it has no name left, with all below it.
  void Drop(FileId id);

 private:
  const int64_t max_bytes_;
  int64_t bytes_ = 0;  // of the files that have names
  std::deque<IndexedFile> files_;
  std::vector<FileId> free_;
};

}  // namespace sluice
