// What lies on the disk, as of a moment ago: counted in the background, so that a scrape reads memory only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "registry/cache/blob_cache.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {

// What could not be counted is as it was.
struct StateSample {
  absl::Time taken = absl::UnixEpoch();
  std::map<SnapshotKind, int64_t> snapshots;
  LayerTotals layers;
  int64_t trash_entries = 0;
  std::optional<CacheTotals> cache;  // unset: blobs are not cached
  // Of the root's file system, for anybody but root.
  int64_t disk_size_bytes = 0;
  int64_t disk_free_bytes = 0;
  int64_t disk_free_inodes = 0;
};

// Thread-safe. Borrows all it is given; `cache` may be null.
class StateSampler {
 public:
  StateSampler(SnapshotTree& tree, MetadataStore& metadata, const BlobCache* cache)
      : tree_(tree), metadata_(metadata), cache_(cache) {}

  // Counts anew: two queries, which no writer waits for, and the entries of two directories.
  void Take();
  StateSample Latest() const;

 private:
  SnapshotTree& tree_;
  MetadataStore& metadata_;
  const BlobCache* const cache_;

  mutable Mutex mutex_;
  StateSample latest_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
