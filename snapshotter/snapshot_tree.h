// The directories under the root: made in new-* or, ahead, in spare/, renamed into snapshots/<n>, deleted by way of
// trash/. Names and meaning: path_layout.h. What they belong to is the metadata store's business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "snapshotter/path_layout.h"

namespace sluice {

class SnapshotTree;

// A new-* directory with its fs/ (0755) in it. Move-only; what is not published goes to the trash with the object,
// which must not outlive the tree.
class StagedDirectory {
 public:
  StagedDirectory(StagedDirectory&& other) noexcept;
  StagedDirectory& operator=(StagedDirectory&& other) = delete;
  ~StagedDirectory();

  int fs_fd() const { return fs_.get(); }

 private:
  friend class SnapshotTree;
  StagedDirectory(SnapshotTree& tree, std::string name) : tree_(&tree), name_(std::move(name)) {}

  SnapshotTree* tree_;
  std::string name_;  // empty: published or moved from
  UniqueFd fs_;
};

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Thread-safe.
class SnapshotTree {
 public:
  // Makes what is missing and takes the root's lock for the life of the object. FailedPrecondition when another
  // process holds it.
  static absl::StatusOr<std::unique_ptr<SnapshotTree>> Open(PathLayout layout);

  const PathLayout& layout() const { return layout_; }
  // The root directory, borrowed.
  int root_fd() const { return root_.get(); }

  // fs/, owned by `owner`, and with `work` an empty work/ (0711) beside it.
  absl::StatusOr<StagedDirectory> Stage(bool work, Owner owner = {});

  // `listener` is called whenever a staged directory goes to the trash instead, on any thread. Null: none. Not to be
  // called while directories are staged.
  void SetDiscardListener(std::function<void()> listener) { discard_listener_ = std::move(listener); }

  // Renames to snapshots/<id> and makes the name durable. AlreadyExists when the number is taken.
  absl::Status Publish(StagedDirectory staged, int64_t directory_id);

  // Makes spare/<id>/{fs,work} for each id, root's, all of them on the disk when it returns; after an error, none.
  absl::Status MakeSpares(const std::vector<int64_t>& ids);

  // Renames spare/<id> to snapshots/<id>. After a power cut it may be in spare/ again, to be found by SettleSpares().
  absl::Status PublishSpare(int64_t id);

  // Renames those of `named` that are in spare/ to snapshots/, durably, and the others into the trash; only at start.
  absl::Status SettleSpares(const absl::flat_hash_set<int64_t>& named);

  // Renames the staged fs/ over that of snapshots/<id> and makes the name durable. FailedPrecondition unless that one
  // is empty, NotFound when it is gone; nothing is changed then.
  absl::Status ReplaceEmptyFs(StagedDirectory staged, int64_t directory_id);

  // fs/ of snapshots/<id> as an O_PATH descriptor; NotFound.
  absl::StatusOr<UniqueFd> OpenFs(int64_t directory_id) const;
  bool Exists(int64_t directory_id) const;
  // Whether nothing is in its fs/; NotFound.
  absl::StatusOr<bool> IsEmpty(int64_t directory_id) const;
  // Whether fs/ of `upper_id`, mounted over that of `lower_id`, changes nothing: it is empty, and as a directory alike.
  absl::StatusOr<bool> AddsNothing(int64_t upper_id, int64_t lower_id) const;

  // Renames snapshots/<id> into the trash. A missing directory is success.
  absl::Status Discard(int64_t directory_id);
  // The same for one that no row names and none will. What can't be moved now, as on a full disk, is logged and waits
  // for DeleteStranded(), or for the next start.
  void DiscardUnowned(int64_t directory_id);
  // The same for every new-*; only at start, when nobody is making one.
  absl::Status DiscardStaged();

  // The numbers that have a directory.
  absl::StatusOr<std::vector<int64_t>> Published() const;
  // Names below snapshots/ that are no numbers go to the trash; only at start.
  absl::Status DiscardForeign();

  absl::StatusOr<std::vector<std::string>> TrashNames() const;
  // Deletes one of TrashNames(); what is gone already is success.
  absl::Status DeleteTrash(const std::string& name, const Cancellation* cancellation);
  // Deletes, where they are, the staged and the unowned directories that could not be moved to the trash. What can't be
  // deleted either waits for the next call.
  absl::Status DeleteStranded(const Cancellation* cancellation);

 private:
  friend class StagedDirectory;
  explicit SnapshotTree(PathLayout layout) : layout_(std::move(layout)) {}

  absl::Status MakeDirectories();
  absl::Status TakeLock();
  absl::Status TryMakeSpares(const std::vector<int64_t>& ids);
  absl::Status MoveToTrash(int parent_fd, const std::string& name);
  // Of `parent_fd`, which is the root's or snapshots/'s.
  void Strand(int parent_fd, const std::string& name, const absl::Status& why);

  const PathLayout layout_;
  UniqueFd root_;
  UniqueFd lock_;
  UniqueFd snapshots_;
  UniqueFd spare_;
  UniqueFd trash_;
  std::function<void()> discard_listener_;

  Mutex stranded_mutex_;
  std::vector<std::pair<int, std::string>> stranded_ SLUICE_GUARDED_BY(stranded_mutex_);  // parent, name
};

}  // namespace sluice
