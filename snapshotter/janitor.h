// The background work of the snapshot state: deletes what lies in the trash, discards layers that nobody claims, and
// brings published layers to the disk.
#pragma once

#include "absl/time/time.h"
#include "base/cancellation.h"
#include "snapshotter/background_loop.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {

// Thread-safe. Borrows the tree and the layers. Ends within the time of one system call; what is in the trash then
// stays there for the next start.
class Janitor {
 public:
  // Begins at once: what an earlier life has left is deleted. From then on what was staged in vain is deleted soon: on
  // a full disk somebody waits for the room.
  Janitor(SnapshotTree& tree, LayerStore& layers);
  ~Janitor();

  // Waits until everything is deleted that was in the trash when it was called, but no longer than `limit` and not
  // beyond `cancellation`; the rest goes on in the background. What can't be deleted is logged and left to a later
  // round.
  void Drain(absl::Duration limit, const Cancellation& cancellation) { cleaning_.RunRound(limit, cancellation); }

 private:
  void Clean(const Cancellation& stopping);

  SnapshotTree& tree_;
  LayerStore& layers_;
  // Two threads: a deletion must not wait for a slow disk to take the layers.
  BackgroundLoop cleaning_;
  BackgroundLoop syncing_;
};

}  // namespace sluice
