// The active snapshots as a differ meets them: found by the mounts that it is given, and given one layer: its files, or
// the directory of a layer that has them already.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/unique_fd.h"
#include "snapshotter/layer_directories.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {

struct ActiveSnapshot {
  std::string key;
  int64_t directory_id = 0;    // its own
  std::vector<int64_t> below;  // the directories of its parents, topmost first, each once
  bool has_parent = false;
  std::optional<Digest> parent_chain_id;  // of the parent, if proven
  std::optional<LayerRecord> adopted;     // the layer that it was given earlier
};

// Thread-safe. Borrows the tree and the metadata.
class ActiveSnapshots {
 public:
  ActiveSnapshots(SnapshotTree& tree, MetadataStore& metadata);

  // False: `mounts` can't be of a snapshot of this root. Cost: none to speak of.
  bool MayOwn(const std::vector<Mount>& mounts) const;

  // The one that `mounts` are of: exactly what its Prepare has answered, or Mounts does. Unimplemented for any other
  // mounts: somebody else may know what to do with them. Cost: one look-up of its row and those of its parents.
  absl::StatusOr<ActiveSnapshot> Find(const std::vector<Mount>& mounts);

  // FailedPrecondition, with the mend, when its directory is gone.
  absl::StatusOr<bool> IsEmpty(const ActiveSnapshot& snapshot) const;
  // snapshot.below, open.
  absl::StatusOr<std::vector<UniqueFd>> OpenBelow(const ActiveSnapshot& snapshot) const;

  // A directory to be filled.
  absl::StatusOr<StagedDirectory> Stage() { return tree_.Stage(/*work=*/false); }

  // Puts what was staged in the place of the snapshot's own directory, whose owner and mode it takes over.
  // FailedPrecondition if something has been written into that one, or the snapshot was committed or removed; nothing
  // is changed then.
  absl::Status Fill(const ActiveSnapshot& snapshot, StagedDirectory staged);

  // Puts the layer between the snapshot's own directory and its parents, from where Mounts gives it, and claims it in
  // the same transaction. `chain_id`, if known: that of the snapshot from then on. False if the layer has just expired.
  // Errors: as Fill().
  absl::StatusOr<bool> Adopt(const ActiveSnapshot& snapshot, const LayerRecord& layer,
                             const std::optional<Digest>& chain_id);

 private:
  std::optional<int64_t> OwnDirectory(const std::vector<Mount>& mounts) const;
  absl::Status TakeOverAttributes(const ActiveSnapshot& snapshot, const StagedDirectory& staged) const;

  SnapshotTree& tree_;
  MetadataStore& metadata_;
  const bool index_off_;
};

}  // namespace sluice
