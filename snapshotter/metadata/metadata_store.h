// The rows behind the snapshots and layer directories: one SQLite file (WAL, synchronous=FULL). This class knows rows
// and their order on disk; what may become of a snapshot is decided in snapshotter.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "snapshotter/layer_directories.h"
#include "snapshotter/metadata/sqlite.h"
#include "snapshotter/snapshot.h"

namespace sluice {

struct SnapshotRow {
  int64_t id = 0;  // 0: not in the database yet
  std::string snapshotter;
  std::string key;
  SnapshotKind kind = SnapshotKind::kActive;
  std::optional<int64_t> parent_id;
  std::string parent_key;               // of parent_id; empty without one; not written
  std::optional<int64_t> directory_id;  // its own or a layer's; none for a view with parents
  std::optional<int64_t> adopted_id;    // a layer's, below its own and above those of its parents
  absl::Time created;
  absl::Time updated;
  std::optional<Usage> usage;  // unset: not counted yet
  // Set: this daemon has proven what the chain holds; of an active snapshot, as long as nothing is written into it.
  std::optional<Digest> chain_id;
};

struct SnapshotCount {
  std::string snapshotter;
  SnapshotKind kind = SnapshotKind::kActive;
  int64_t count = 0;
  bool operator==(const SnapshotCount&) const = default;
};

struct LayerTotals {
  int64_t layers = 0;
  int64_t bytes = 0;  // on the disk
  int64_t unclaimed_layers = 0;
  int64_t unclaimed_bytes = 0;
  bool operator==(const LayerTotals&) const = default;
};

// A snapshot whose directory is a layer's.
struct LayerUser {
  int64_t directory_id = 0;
  std::string snapshotter;
  std::string key;
  bool operator==(const LayerUser&) const = default;
};

// What can be asked within one transaction. Everything is seen at one moment.
class MetadataReader {
 public:
  explicit MetadataReader(SqliteConnection& connection) : connection_(connection) {}

  absl::StatusOr<std::optional<SnapshotRow>> Snapshot(const std::string& snapshotter, const std::string& key) const;
  // The active snapshot whose own directory this is.
  absl::StatusOr<std::optional<SnapshotRow>> ActiveWithDirectory(int64_t directory_id) const;
  absl::StatusOr<Labels> LabelsOf(int64_t snapshot_id) const;
  absl::StatusOr<bool> HasChildren(int64_t snapshot_id) const;
  // The directories of a snapshot and all below it, topmost first, repetitions included.
  absl::StatusOr<std::vector<int64_t>> ChainDirectories(int64_t snapshot_id) const;
  // The same without the snapshot's own.
  absl::StatusOr<std::vector<int64_t>> DirectoriesBelow(const SnapshotRow& snapshot) const;
  // The oldest committed snapshot with this ref label over this parent.
  absl::StatusOr<std::optional<SnapshotRow>> CommittedByRef(const std::string& snapshotter, const std::string& ref,
                                                            std::optional<int64_t> parent_id) const;
  // All snapshots of the proxy name, oldest first.
  absl::StatusOr<std::vector<SnapshotInfo>> List(const std::string& snapshotter) const;
  // Those of them that have this label.
  absl::StatusOr<std::vector<SnapshotInfo>> ListByLabel(const std::string& snapshotter, const std::string& key,
                                                        const std::string& value) const;
  // The proxy names that have snapshots.
  absl::StatusOr<std::vector<std::string>> Snapshotters() const;
  // Committed snapshots whose usage is not stored.
  absl::StatusOr<std::vector<SnapshotRow>> Uncounted() const;
  // Snapshots that have a directory.
  absl::StatusOr<std::vector<SnapshotRow>> SnapshotsWithDirectory() const;
  // How many there are, by proxy name and kind.
  absl::StatusOr<std::vector<SnapshotCount>> CountSnapshots() const;

  absl::StatusOr<std::optional<LayerRecord>> Layer(int64_t directory_id) const;
  absl::StatusOr<std::optional<LayerRecord>> SelfContainedLayer(const Digest& diff_id) const;
  absl::StatusOr<std::optional<LayerRecord>> LayerOfChain(const Digest& chain_id) const;
  // Those that were filled from this blob: one that is self-contained, or one for each chain.
  absl::StatusOr<std::vector<LayerRecord>> LayersOfBlob(const Digest& blob_digest) const;
  absl::StatusOr<std::vector<LayerRecord>> Layers() const;
  absl::StatusOr<LayerTotals> TotalLayers() const;
  // Whose directory the layers with ids above `after_id`, and not above `last_id`, are; in their order.
  absl::StatusOr<std::vector<LayerUser>> LayerUsers(int64_t after_id, int64_t last_id) const;
  // How many snapshots' directory this is, or the layer that they have adopted.
  absl::StatusOr<int64_t> Claims(int64_t directory_id) const;
  // Layers published before `time` that no snapshot claims.
  absl::StatusOr<std::vector<int64_t>> UnclaimedLayers(absl::Time time) const;
  absl::StatusOr<std::vector<int64_t>> UnsyncedLayers() const;
  absl::StatusOr<std::vector<LayerRecord>> UnsyncedLayersOfOtherBoots(const std::string& boot_id) const;

  absl::StatusOr<std::optional<std::string>> Meta(const std::string& key) const;

 protected:
  absl::StatusOr<std::vector<SnapshotInfo>> ReadInfos(SqliteQuery rows, SqliteQuery labels) const;

  SqliteConnection& connection_;
};

// What can be changed within one transaction. Labels with an empty value are not stored, as containerd does.
class MetadataWriter : public MetadataReader {
 public:
  explicit MetadataWriter(SqliteConnection& connection) : MetadataReader(connection) {}

  // AlreadyExists when the key is taken.
  absl::StatusOr<int64_t> InsertSnapshot(const SnapshotRow& row, const Labels& labels);
  // Active → committed under `name`, with these labels alone. AlreadyExists when the name is taken.
  absl::Status CommitSnapshot(int64_t id, const std::string& name, const Labels& labels, absl::Time now);
  absl::Status ReplaceLabels(int64_t id, const Labels& labels, absl::Time now);
  absl::Status SetUsage(int64_t id, const Usage& usage);
  // directory_id, adopted_id and chain_id of the row.
  absl::Status SetContent(const SnapshotRow& row);
  absl::Status DeleteSnapshot(int64_t id);

  // AlreadyExists when an equal layer is there.
  absl::Status InsertLayer(const LayerRecord& layer, bool synced, const std::string& boot_id, absl::Time now);
  absl::Status MarkSynced(int64_t directory_id);
  absl::Status DeleteLayer(int64_t directory_id);

  absl::Status SetMeta(const std::string& key, const std::string& value);

 private:
  absl::Status InsertLabels(int64_t id, const Labels& labels);
};

// Thread-safe. Writers queue on one connection, readers share a few and never wait for a writer.
class MetadataStore {
 public:
  // Opens or creates the file. Errors: FailedPrecondition newer schema, DataLoss damaged file; the message names it.
  static absl::StatusOr<std::unique_ptr<MetadataStore>> Open(const std::string& path);

  // One transaction; its effects are on the disk when OK is returned, and none are there otherwise. `body` must not
  // call back into the store.
  absl::Status Write(absl::FunctionRef<absl::Status(MetadataWriter&)> body);
  absl::Status Read(absl::FunctionRef<absl::Status(const MetadataReader&)> body);

  // A directory number that was never given before, in any life of the daemon.
  absl::StatusOr<int64_t> NextDirectoryId();

 private:
  MetadataStore() = default;

  std::unique_ptr<SqliteConnection> BorrowReader();
  void ReturnReader(std::unique_ptr<SqliteConnection> reader);

  Mutex writer_mutex_;
  std::unique_ptr<SqliteConnection> writer_ SLUICE_GUARDED_BY(writer_mutex_);

  Mutex readers_mutex_;
  CondVar reader_returned_;
  std::vector<std::unique_ptr<SqliteConnection>> readers_ SLUICE_GUARDED_BY(readers_mutex_);

  Mutex ids_mutex_;
  int64_t next_id_ SLUICE_GUARDED_BY(ids_mutex_) = 0;
  int64_t reserved_id_ SLUICE_GUARDED_BY(ids_mutex_) = 0;  // ids below are reserved in the database
};

}  // namespace sluice
