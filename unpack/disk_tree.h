// A tree of files on the disk, and what it takes there.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/directory_cache.h"
#include "unpack/file_tree.h"
#include "unpack/metadata_policy.h"

namespace sluice {

class DiskTree : public FileTree {
 public:
  // `root_fd` is borrowed, and empty but for what is none of this tree's business; so is `policy`.
  DiskTree(int root_fd, MetadataPolicy& policy);

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

  // The directory at `path`; null if there is none, or something else. Valid until the next call.
  absl::StatusOr<OpenDirectory*> Open(absl::string_view path) { return directories_.Open(path); }
  DirectoryCache& directories() { return directories_; }
  MetadataPolicy& policy() { return policy_; }

  // For what was made by name: its size on the disk, once per inode.
  void CountNew(const struct stat& attributes);
  // Lets all directories go and sums up. Walks the tree only if whole directories were removed or moved.
  struct Usage {
    int64_t bytes = 0;
    int64_t inodes = 0;
  };
  absl::StatusOr<Usage> FinishUsage();

 private:
  // The directory at `path`, which must be there.
  absl::StatusOr<OpenDirectory*> OpenExisting(absl::string_view path);

  MetadataPolicy& policy_;
  DirectoryCache directories_;
  // A default ACL was set on some directory: files made in it inherit it unless told otherwise.
  bool default_acl_seen_ = false;
  int64_t blocks_ = 0;
  int64_t inodes_ = 1;  // the root
  bool recount_ = false;
};

}  // namespace sluice
