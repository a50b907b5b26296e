// Directories for active snapshots, made ahead. A new directory must be on the disk before its row is, which takes two
// syncs; a spare one is there already, and a Prepare, under which containerd holds its lock, syncs nothing but the row.
//
// A spare is renamed from spare/ into snapshots/ when it is taken. A power cut may undo that, not the directory: the
// row names it, and the next start puts it into its place (SnapshotTree::SettleSpares).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "snapshotter/background_loop.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {

// Thread-safe. Borrows the tree and the metadata.
class SpareDirectories {
 public:
  SpareDirectories(SnapshotTree& tree, MetadataStore& metadata);

  // The number of an empty directory with fs/ and work/, root's, which is in snapshots/ now. Nothing if there is none:
  // who never asks has no spares, and who asks often may be faster than they are made.
  std::optional<int64_t> Take();

 private:
  void Refill(const Cancellation& stopping);
  absl::Status Make(size_t count);

  SnapshotTree& tree_;
  MetadataStore& metadata_;
  Mutex mutex_;
  std::vector<int64_t> spares_ SLUICE_GUARDED_BY(mutex_);
  bool wanted_ SLUICE_GUARDED_BY(mutex_) = false;  // somebody has asked
  BackgroundLoop refilling_;                       // last: its rounds use all of the above
};

}  // namespace sluice
