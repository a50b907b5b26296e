// The filled layer directories: the LayerDirectories that the fills publish into and the snapshots claim from.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "snapshotter/layer_directories.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {

struct LayerStoreOptions {
  // How long a layer that no snapshot claims is kept. Default: 10 minutes, so that a client may take its time between
  // the first Prepare, which fills all layers of an image, and the last.
  absl::Duration grace = absl::Minutes(10);
  // True: a layer's content is on the disk before it is published. Default: soon after.
  bool sync_before_publish = false;
  std::function<absl::Time()> now = absl::Now;
};

// Thread-safe. Borrows the tree and the metadata.
class LayerStore : public LayerDirectories {
 public:
  static absl::StatusOr<std::unique_ptr<LayerStore>> Open(SnapshotTree& tree, MetadataStore& metadata,
                                                          LayerStoreOptions options);

  absl::StatusOr<std::optional<LayerRecord>> Find(const Digest& diff_id, const Digest& chain_id) override;
  // The layers that were filled from this blob.
  absl::StatusOr<std::vector<LayerRecord>> FindByBlob(const Digest& blob_digest);
  absl::StatusOr<std::unique_ptr<StagedLayer>> Stage() override;
  absl::StatusOr<LayerRecord> Publish(std::unique_ptr<StagedLayer> staged, const LayerFacts& facts) override;
  absl::StatusOr<UniqueFd> Open(int64_t id) override;

  // While the result lives, no layer that is published after this call is reaped: somebody waits for it, or for one
  // that was filled with it.
  std::shared_ptr<void> Hold();

  // Discards the layers that nobody has claimed within the grace period. One that is being claimed stays: claim and
  // deletion are transactions of the same store.
  absl::Status ReapUnclaimed();
  // The same without the grace period. Returns what was discarded; its room is free once the trash is deleted.
  absl::StatusOr<std::vector<LayerRecord>> PruneUnclaimed();

  // Brings to the disk what was published and marks it so. Cost: syncfs, if there is something to do.
  absl::Status SyncPublished();

  // Layers that may have been lost with the power: filled in an earlier boot and not known to be on the disk. The
  // unclaimed ones are discarded; the others are returned.
  absl::StatusOr<std::vector<LayerRecord>> Suspects();

 private:
  LayerStore(SnapshotTree& tree, MetadataStore& metadata, LayerStoreOptions options, std::string boot_id)
      : tree_(tree), metadata_(metadata), options_(std::move(options)), boot_id_(std::move(boot_id)) {}

  absl::StatusOr<std::optional<LayerRecord>> FindEqual(const LayerFacts& facts);
  absl::StatusOr<std::vector<LayerRecord>> DiscardUnclaimed(absl::Duration grace);
  // What was discarded; nothing if it is claimed, or gone.
  absl::StatusOr<std::optional<LayerRecord>> DiscardIfUnclaimed(int64_t directory_id);

  SnapshotTree& tree_;
  MetadataStore& metadata_;
  const LayerStoreOptions options_;
  const std::string boot_id_;

  Mutex holds_mutex_;
  std::multiset<absl::Time> holds_ SLUICE_GUARDED_BY(holds_mutex_);
};

}  // namespace sluice
