// Which repositories there are in a directory of OCI layouts that nest, as zot keeps them.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"

namespace sluice {

// Thread-safe.
class RepositoryTree {
 public:
  // Bounds a walk in a directory that is no registry's.
  static constexpr size_t kMaxDirectories = 8192;

  // `root` is followed as it is given; below it no symbolic link is.
  explicit RepositoryTree(std::string root) : root_(std::move(root)) {}

  // The names of the directories that have blobs/, "a" before "a/b", the root itself not among them; incomplete if
  // there are more than kMaxDirectories. Costs a stat(2) a directory; those that have changed are listed anew.
  std::vector<std::string> List() const;

 private:
  struct Directory {
    timespec mtime = {};
    bool settled = false;  // listed long enough after its last change that a further one shows in its mtime
    bool is_repository = false;
    std::vector<std::string> children;  // names of directories that may be, or lead to, repositories
  };
  using Directories = absl::flat_hash_map<std::string, Directory>;  // by path below the root

  static Directory Read(const std::string& path, const timespec& mtime);

  const std::string root_;
  mutable Mutex mutex_;
  mutable std::shared_ptr<const Directories> known_ SLUICE_GUARDED_BY(mutex_) = std::make_shared<Directories>();
};

}  // namespace sluice
