// One layer on the disk while it is being made: its directories, what is pending, and what it takes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/directory_cache.h"
#include "unpack/entry_log.h"
#include "unpack/file_metadata.h"
#include "unpack/layer.h"
#include "unpack/memory_budget.h"
#include "unpack/metadata_policy.h"
#include "unpack/pending_tree.h"

namespace sluice {

// A hard link to a name that was not there when the link came: it may come later in this layer, or be in one below.
struct PendingLink {
  std::string path;    // of the link, in the tree
  std::string target;  // as in the archive, normalised
  FileMetadata metadata;
};

// One thread at a time. "Path" is a path below the root that no symlink of this layer is part of.
class LayerTree {
 public:
  // `root_fd` is borrowed, and empty but for what is none of this layer's business; so is `policy`.
  LayerTree(int root_fd, const UnpackLimits& limits, MetadataPolicy& policy);

  // The directory at `path`; null if there is none, or something else.
  absl::StatusOr<OpenDirectory*> Open(absl::string_view path) { return directories_.Open(path); }
  // The same, with the directories that are missing made and noted as implied: 0755, root's, of 1970, until the layers
  // below say more. They are as late in the log as `like`, if that is given. InvalidArgument if something else is in
  // the way.
  absl::StatusOr<OpenDirectory*> OpenOrImply(absl::string_view path, absl::string_view like = {});
  // The directory that `name` leads to when symlinks of this layer are followed, inside the root; made if need be.
  absl::StatusOr<OpenDirectory*> OpenNamed(absl::string_view name);
  // Its path; what the layer does not have is taken as a directory. InvalidArgument: too many links, a file on the way.
  absl::StatusOr<std::string> Resolve(absl::string_view name);

  // What is at `path`, not followed; false if nothing.
  absl::StatusOr<bool> Stat(absl::string_view path, struct stat& attributes);
  // The text of the symlink at `path`.
  absl::StatusOr<std::string> ReadLink(absl::string_view path);
  // Removes what is at `path`, with all below it. Pointers to directories are invalid afterwards.
  absl::Status Remove(absl::string_view path);
  // Makes a directory with `metadata` where nothing is.
  absl::StatusOr<OpenDirectory*> MakeDirectory(absl::string_view path, const FileMetadata& metadata);

  // Puts `metadata` on a directory of the tree.
  absl::Status SetDirectoryMetadata(OpenDirectory& directory, const FileMetadata& metadata);

  // Notes that `path` was written now, where that may matter later.
  absl::Status LogEntry(absl::string_view path);

  // For what was made by name: its size on the disk, once per inode.
  void CountNew(const struct stat& attributes) {
    blocks_ += attributes.st_blocks;
    ++inodes_;
  }
  void CountGone(const struct stat& attributes);
  // Lets all directories go and sums up. Walks the tree only if whole directories were removed or moved.
  struct Usage {
    int64_t bytes = 0;
    int64_t inodes = 0;
  };
  absl::StatusOr<Usage> FinishUsage();
  void RecountUsage() { recount_ = true; }

  DirectoryCache& directories() { return directories_; }
  PendingTree& pending() { return pending_; }
  std::vector<PendingLink>& links() { return links_; }
  absl::Status AddLink(PendingLink link);
  // Whether the last entry at `path` may be such a link.
  bool HasLinkAt(absl::string_view path) const { return link_paths_.contains(path); }
  EntryLog& log() { return log_; }
  const RootedDirectory& root() const { return directories_.root(); }
  int64_t max_depth() const { return max_depth_; }
  MetadataPolicy& policy() { return policy_; }

  // A default ACL was set on some directory: files made in it inherit it unless told otherwise.
  bool default_acl_seen = false;

 private:
  const int64_t max_depth_;
  MetadataPolicy& policy_;
  MemoryBudget budget_;
  DirectoryCache directories_;
  PendingTree pending_;
  EntryLog log_;
  std::vector<PendingLink> links_;
  absl::flat_hash_set<std::string> link_paths_;  // those of all that were ever in links_
  int64_t blocks_ = 0;
  int64_t inodes_ = 1;  // the root
  bool recount_ = false;
};

}  // namespace sluice
