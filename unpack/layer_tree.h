// One layer while it is being made: its files, and what is pending.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/entry_log.h"
#include "unpack/file_metadata.h"
#include "unpack/file_tree.h"
#include "unpack/layer.h"
#include "unpack/memory_budget.h"
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
  // `files` is borrowed, and empty.
  LayerTree(FileTree& files, const UnpackLimits& limits);

  // What is not done by one of the functions here: nothing that takes directories away, nor what needs to be logged.
  FileTree& files() { return files_; }
  absl::StatusOr<bool> Stat(absl::string_view path, struct stat& attributes) { return files_.Stat(path, attributes); }
  absl::StatusOr<bool> IsDirectory(absl::string_view path) { return files_.IsDirectory(path); }

  // Makes the directories of `path` that are missing and notes them as implied: 0755, root's, of 1970, until the layers
  // below say more. They are as late in the log as `like`, if that is given. InvalidArgument if something else is in
  // the way.
  absl::Status EnsureDirectory(absl::string_view path, absl::string_view like = {});
  // The same for the directory that `name` leads to when symlinks of this layer are followed, inside the root: its
  // path.
  absl::StatusOr<std::string> EnsureNamed(absl::string_view name);
  // Its path; what the layer does not have is taken as a directory. InvalidArgument: too many links, a file on the way.
  absl::StatusOr<std::string> Resolve(absl::string_view name);

  // Removes what is at `path`, with all below it and all that is pending there.
  absl::Status Remove(absl::string_view path);
  // Moves what is at `from` to `to`, where nothing is.
  absl::Status Rename(absl::string_view from, absl::string_view to);

  // Notes that `path` was written now, where that may matter later.
  absl::Status LogEntry(absl::string_view path);

  PendingTree& pending() { return pending_; }
  std::vector<PendingLink>& links() { return links_; }
  absl::Status AddLink(PendingLink link);
  // Whether the last entry at `path` may be such a link.
  bool HasLinkAt(absl::string_view path) const { return link_paths_.contains(path); }
  EntryLog& log() { return log_; }
  int64_t max_depth() const { return max_depth_; }

 private:
  const int64_t max_depth_;
  MemoryBudget budget_;
  FileTree& files_;
  PendingTree pending_;
  EntryLog log_;
  std::vector<PendingLink> links_;
  absl::flat_hash_set<std::string> link_paths_;  // those of all that were ever in links_
};

}  // namespace sluice
