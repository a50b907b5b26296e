#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "snapshotter/metadata/metadata_store.h"

namespace sluice {
namespace {

// The columns of SnapshotAt and LayerAt, in their order.
#define SLUICE_SNAPSHOT_COLUMNS                                                                             \
  "s.id, s.snapshotter, s.key, s.kind, s.parent_id, p.key, s.directory_id, s.created_ns, s.updated_ns, "    \
  "s.usage_bytes, s.usage_inodes, s.chain_id, s.adopted_id FROM snapshot s LEFT JOIN snapshot p ON p.id = " \
  "s.parent_id "
#define SLUICE_LAYER_COLUMNS                                                                                        \
  "l.directory_id, l.diff_id, l.chain_id, l.blob_digest, l.blob_bytes, l.usage_bytes, l.usage_inodes, l.tar_bytes " \
  "FROM layer l "

absl::StatusOr<std::optional<Digest>> OptionalDigest(const SqliteQuery& query, int column) {
  if (query.IsNull(column)) return std::optional<Digest>();
  ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(query.Text(column)));
  return std::optional<Digest>(digest);
}

absl::StatusOr<SnapshotRow> SnapshotAt(const SqliteQuery& query) {
  SnapshotRow row;
  row.id = query.Int(0);
  row.snapshotter = query.Text(1);
  row.key = query.Text(2);
  row.kind = static_cast<SnapshotKind>(query.Int(3));
  row.parent_id = query.OptionalInt(4);
  row.parent_key = query.Text(5);
  row.directory_id = query.OptionalInt(6);
  row.created = absl::FromUnixNanos(query.Int(7));
  row.updated = absl::FromUnixNanos(query.Int(8));
  if (!query.IsNull(9)) row.usage = Usage{query.Int(9), query.Int(10)};
  ASSIGN_OR_RETURN(row.chain_id, OptionalDigest(query, 11));
  row.adopted_id = query.OptionalInt(12);
  return row;
}

absl::StatusOr<LayerRecord> LayerAt(const SqliteQuery& query) {
  LayerRecord layer;
  layer.id = query.Int(0);
  ASSIGN_OR_RETURN(layer.facts.diff_id, Digest::Parse(query.Text(1)));
  ASSIGN_OR_RETURN(layer.facts.chain_id, OptionalDigest(query, 2));
  ASSIGN_OR_RETURN(layer.facts.blob_digest, Digest::Parse(query.Text(3)));
  layer.facts.blob_bytes = query.Int(4);
  layer.facts.usage_bytes = query.Int(5);
  layer.facts.usage_inodes = query.Int(6);
  layer.facts.tar_bytes = query.OptionalInt(7);
  return layer;
}

template <typename T>
absl::StatusOr<std::optional<T>> First(SqliteQuery query, absl::StatusOr<T> (*at)(const SqliteQuery&)) {
  ASSIGN_OR_RETURN(const bool row, query.Next());
  if (!row) return std::optional<T>();
  ASSIGN_OR_RETURN(T value, at(query));
  return std::optional<T>(std::move(value));
}

template <typename T>
absl::StatusOr<std::vector<T>> All(SqliteQuery query, absl::StatusOr<T> (*at)(const SqliteQuery&)) {
  std::vector<T> values;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, query.Next());
    if (!row) return values;
    ASSIGN_OR_RETURN(T value, at(query));
    values.push_back(std::move(value));
  }
}

absl::StatusOr<SnapshotCount> CountAt(const SqliteQuery& query) {
  return SnapshotCount{query.Text(0), static_cast<SnapshotKind>(query.Int(1)), query.Int(2)};
}

absl::StatusOr<LayerUser> LayerUserAt(const SqliteQuery& query) {
  return LayerUser{query.Int(0), query.Text(1), query.Text(2)};
}

absl::StatusOr<int64_t> NumberAt(const SqliteQuery& query) { return query.Int(0); }
absl::StatusOr<std::string> TextAt(const SqliteQuery& query) { return query.Text(0); }

}  // namespace

absl::StatusOr<std::optional<SnapshotRow>> MetadataReader::Snapshot(const std::string& snapshotter,
                                                                    const std::string& key) const {
  return First(
      connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS "WHERE s.snapshotter = ? AND s.key = ?", snapshotter, key),
      SnapshotAt);
}

absl::StatusOr<std::optional<SnapshotRow>> MetadataReader::ActiveWithDirectory(int64_t directory_id) const {
  return First(connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS "WHERE s.directory_id = ? AND s.kind = ?",
                                 directory_id, static_cast<int>(SnapshotKind::kActive)),
               SnapshotAt);
}

absl::StatusOr<Labels> MetadataReader::LabelsOf(int64_t snapshot_id) const {
  SqliteQuery query = connection_.Query("SELECT key, value FROM label WHERE snapshot_id = ?", snapshot_id);
  Labels labels;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, query.Next());
    if (!row) return labels;
    labels.emplace(query.Text(0), query.Text(1));
  }
}

absl::StatusOr<bool> MetadataReader::HasChildren(int64_t snapshot_id) const {
  SqliteQuery query = connection_.Query("SELECT 1 FROM snapshot WHERE parent_id = ? LIMIT 1", snapshot_id);
  return query.Next();
}

absl::StatusOr<std::vector<int64_t>> MetadataReader::ChainDirectories(int64_t snapshot_id) const {
  SqliteQuery query = connection_.Query(
      "WITH RECURSIVE chain(depth, parent_id, directory_id, adopted_id) AS ("
      " SELECT 0, parent_id, directory_id, adopted_id FROM snapshot WHERE id = ?"
      " UNION ALL"
      " SELECT depth + 1, s.parent_id, s.directory_id, s.adopted_id FROM chain"
      " JOIN snapshot s ON s.id = chain.parent_id"
      ") SELECT directory_id, adopted_id FROM chain ORDER BY depth",
      snapshot_id);
  std::vector<int64_t> directories;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, query.Next());
    if (!row) return directories;
    for (const int column : {0, 1}) {
      if (!query.IsNull(column)) directories.push_back(query.Int(column));
    }
  }
}

absl::StatusOr<std::vector<int64_t>> MetadataReader::DirectoriesBelow(const SnapshotRow& snapshot) const {
  std::vector<int64_t> directories;
  if (snapshot.parent_id.has_value()) {
    ASSIGN_OR_RETURN(directories, ChainDirectories(*snapshot.parent_id));
  }
  if (snapshot.adopted_id.has_value()) directories.insert(directories.begin(), *snapshot.adopted_id);
  return directories;
}

absl::StatusOr<std::optional<SnapshotRow>> MetadataReader::CommittedByRef(const std::string& snapshotter,
                                                                          const std::string& ref,
                                                                          std::optional<int64_t> parent_id) const {
  return First(connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS
                                 "WHERE s.snapshotter = ? AND s.ref = ? AND s.parent_id IS ? AND s.kind = ? "
                                 "ORDER BY s.created_ns, s.id LIMIT 1",
                                 snapshotter, ref, parent_id, static_cast<int>(SnapshotKind::kCommitted)),
               SnapshotAt);
}

// `rows` and `labels` are both in the order of the snapshots' ids.
absl::StatusOr<std::vector<SnapshotInfo>> MetadataReader::ReadInfos(SqliteQuery rows, SqliteQuery labels) const {
  std::vector<SnapshotInfo> infos;
  ASSIGN_OR_RETURN(bool label, labels.Next());
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return infos;
    ASSIGN_OR_RETURN(SnapshotRow row, SnapshotAt(rows));
    SnapshotInfo info{std::move(row.key), std::move(row.parent_key), row.kind, row.created, row.updated, {}};
    while (label && labels.Int(0) == row.id) {
      info.labels.emplace(labels.Text(1), labels.Text(2));
      ASSIGN_OR_RETURN(label, labels.Next());
    }
    infos.push_back(std::move(info));
  }
}

// The plus keeps SQLite from the index by name, after which it would have to sort.
absl::StatusOr<std::vector<SnapshotInfo>> MetadataReader::List(const std::string& snapshotter) const {
  return ReadInfos(
      connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS "WHERE +s.snapshotter = ? ORDER BY s.id", snapshotter),
      connection_.Query("SELECT s.id, label.key, label.value FROM snapshot s CROSS JOIN label "
                        "ON label.snapshot_id = s.id WHERE +s.snapshotter = ? ORDER BY s.id",
                        snapshotter));
}

// The plus keeps SQLite from walking through all of the proxy name's snapshots instead.
#define SLUICE_HAS_LABEL \
  "WHERE s.id IN (SELECT snapshot_id FROM label WHERE key = ? AND value = ?) AND +s.snapshotter = ? ORDER BY s.id"

absl::StatusOr<std::vector<SnapshotInfo>> MetadataReader::ListByLabel(const std::string& snapshotter,
                                                                      const std::string& key,
                                                                      const std::string& value) const {
  return ReadInfos(
      connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS SLUICE_HAS_LABEL, key, value, snapshotter),
      connection_.Query(
          "SELECT l.snapshot_id, l.key, l.value FROM snapshot s JOIN label l ON l.snapshot_id = s.id " SLUICE_HAS_LABEL,
          key, value, snapshotter));
}

absl::StatusOr<std::vector<std::string>> MetadataReader::Snapshotters() const {
  return All(connection_.Query("SELECT DISTINCT snapshotter FROM snapshot ORDER BY snapshotter"), TextAt);
}

absl::StatusOr<std::vector<SnapshotRow>> MetadataReader::Uncounted() const {
  return All(connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS "WHERE s.kind = ? AND s.usage_bytes IS NULL",
                               static_cast<int>(SnapshotKind::kCommitted)),
             SnapshotAt);
}

absl::StatusOr<std::vector<SnapshotRow>> MetadataReader::SnapshotsWithDirectory() const {
  return All(connection_.Query("SELECT " SLUICE_SNAPSHOT_COLUMNS "WHERE s.directory_id IS NOT NULL ORDER BY s.id"),
             SnapshotAt);
}

absl::StatusOr<std::vector<SnapshotCount>> MetadataReader::CountSnapshots() const {
  return All(connection_.Query("SELECT snapshotter, kind, count(*) FROM snapshot GROUP BY snapshotter, kind "
                               "ORDER BY snapshotter, kind"),
             CountAt);
}

absl::StatusOr<std::optional<LayerRecord>> MetadataReader::Layer(int64_t directory_id) const {
  return First(connection_.Query("SELECT " SLUICE_LAYER_COLUMNS "WHERE l.directory_id = ?", directory_id), LayerAt);
}

absl::StatusOr<std::optional<LayerRecord>> MetadataReader::SelfContainedLayer(const Digest& diff_id) const {
  const std::string text = diff_id.ToString();
  return First(connection_.Query("SELECT " SLUICE_LAYER_COLUMNS "WHERE l.diff_id = ? AND l.chain_id IS NULL", text),
               LayerAt);
}

absl::StatusOr<std::optional<LayerRecord>> MetadataReader::LayerOfChain(const Digest& chain_id) const {
  const std::string text = chain_id.ToString();
  return First(connection_.Query("SELECT " SLUICE_LAYER_COLUMNS "WHERE l.chain_id = ?", text), LayerAt);
}

absl::StatusOr<std::vector<LayerRecord>> MetadataReader::LayersOfBlob(const Digest& blob_digest) const {
  const std::string text = blob_digest.ToString();
  return All(connection_.Query("SELECT " SLUICE_LAYER_COLUMNS "WHERE l.blob_digest = ? ORDER BY l.directory_id", text),
             LayerAt);
}

absl::StatusOr<std::vector<LayerRecord>> MetadataReader::Layers() const {
  return All(connection_.Query("SELECT " SLUICE_LAYER_COLUMNS "ORDER BY l.directory_id"), LayerAt);
}

absl::StatusOr<LayerTotals> MetadataReader::TotalLayers() const {
  SqliteQuery query = connection_.Query(
      "SELECT count(*), ifnull(sum(usage_bytes), 0), ifnull(sum(unclaimed), 0), ifnull(sum(unclaimed * usage_bytes), 0)"
      " FROM (SELECT usage_bytes, NOT EXISTS (SELECT 1 FROM snapshot s WHERE s.directory_id = layer.directory_id)"
      " AS unclaimed FROM layer)");
  RETURN_IF_ERROR(query.Next().status());
  return LayerTotals{query.Int(0), query.Int(1), query.Int(2), query.Int(3)};
}

absl::StatusOr<std::vector<LayerUser>> MetadataReader::LayerUsers(int64_t after_id, int64_t last_id) const {
  return All(connection_.Query("SELECT s.directory_id, s.snapshotter, s.key FROM snapshot s "
                               "JOIN layer l ON l.directory_id = s.directory_id "
                               "WHERE s.directory_id > ? AND s.directory_id <= ? ORDER BY s.directory_id, s.id",
                               after_id, last_id),
             LayerUserAt);
}

absl::StatusOr<int64_t> MetadataReader::Claims(int64_t directory_id) const {
  SqliteQuery query = connection_.Query(
      "SELECT (SELECT count(*) FROM snapshot WHERE directory_id = ?1) + "
      "(SELECT count(*) FROM snapshot WHERE adopted_id = ?1)",
      directory_id);
  RETURN_IF_ERROR(query.Next().status());
  return query.Int(0);
}

absl::StatusOr<std::vector<int64_t>> MetadataReader::UnclaimedLayers(absl::Time time) const {
  return All(connection_.Query("SELECT directory_id FROM layer WHERE published_ns < ? AND NOT EXISTS "
                               "(SELECT 1 FROM snapshot s WHERE s.directory_id = layer.directory_id) AND NOT EXISTS "
                               "(SELECT 1 FROM snapshot s WHERE s.adopted_id = layer.directory_id)",
                               absl::ToUnixNanos(time)),
             NumberAt);
}

absl::StatusOr<std::vector<int64_t>> MetadataReader::UnsyncedLayers() const {
  return All(connection_.Query("SELECT directory_id FROM layer WHERE synced = 0"), NumberAt);
}

absl::StatusOr<std::vector<LayerRecord>> MetadataReader::UnsyncedLayersOfOtherBoots(const std::string& boot_id) const {
  return All(connection_.Query("SELECT " SLUICE_LAYER_COLUMNS "WHERE l.synced = 0 AND l.boot_id <> ?", boot_id),
             LayerAt);
}

absl::StatusOr<std::optional<std::string>> MetadataReader::Meta(const std::string& key) const {
  return First(connection_.Query("SELECT value FROM meta WHERE key = ?", key), TextAt);
}

}  // namespace sluice
