#include "base/status_macros.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/labels.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot_errors.h"

namespace sluice {
namespace {

// The column `ref` mirrors the label, so that an index serves containerd's question for it.
std::optional<std::string> RefOf(const Labels& labels) {
  const std::string ref = LabelValue(labels, kRefLabel);
  if (ref.empty()) return std::nullopt;
  return ref;
}

std::optional<std::string> Printed(const std::optional<Digest>& digest) {
  if (!digest.has_value()) return std::nullopt;
  return digest->ToString();
}

}  // namespace

absl::StatusOr<int64_t> MetadataWriter::InsertSnapshot(const SnapshotRow& row, const Labels& labels) {
  std::optional<int64_t> usage_bytes;
  std::optional<int64_t> usage_inodes;
  if (row.usage.has_value()) {
    usage_bytes = row.usage->bytes;
    usage_inodes = row.usage->inodes;
  }
  const std::optional<std::string> ref = RefOf(labels);
  const std::optional<std::string> chain_id = Printed(row.chain_id);
  RETURN_IF_ERROR(connection_.Run(
      "INSERT INTO snapshot(snapshotter, key, kind, parent_id, directory_id, created_ns, updated_ns, "
      "usage_bytes, usage_inodes, ref, chain_id, adopted_id) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row.snapshotter, row.key, static_cast<int>(row.kind), row.parent_id, row.directory_id,
      absl::ToUnixNanos(row.created), absl::ToUnixNanos(row.updated), usage_bytes, usage_inodes, ref, chain_id,
      row.adopted_id));
  const int64_t id = connection_.last_insert_id();
  RETURN_IF_ERROR(InsertLabels(id, labels));
  return id;
}

absl::Status MetadataWriter::InsertLabels(int64_t id, const Labels& labels) {
  for (const auto& [key, value] : labels) {
    if (value.empty()) continue;
    if (key.empty()) return LabelWithoutKeyError(ShownValue(value));
    RETURN_IF_ERROR(connection_.Run("INSERT INTO label(snapshot_id, key, value) VALUES(?, ?, ?)", id, key, value));
  }
  return absl::OkStatus();
}

absl::Status MetadataWriter::CommitSnapshot(int64_t id, const std::string& name, const Labels& labels, absl::Time now) {
  RETURN_IF_ERROR(connection_.Run("UPDATE snapshot SET key = ?, kind = ?, created_ns = ? WHERE id = ?", name,
                                  static_cast<int>(SnapshotKind::kCommitted), absl::ToUnixNanos(now), id));
  return ReplaceLabels(id, labels, now);
}

absl::Status MetadataWriter::ReplaceLabels(int64_t id, const Labels& labels, absl::Time now) {
  const std::optional<std::string> ref = RefOf(labels);
  RETURN_IF_ERROR(
      connection_.Run("UPDATE snapshot SET ref = ?, updated_ns = ? WHERE id = ?", ref, absl::ToUnixNanos(now), id));
  RETURN_IF_ERROR(connection_.Run("DELETE FROM label WHERE snapshot_id = ?", id));
  return InsertLabels(id, labels);
}

absl::Status MetadataWriter::SetUsage(int64_t id, const Usage& usage) {
  return connection_.Run("UPDATE snapshot SET usage_bytes = ?, usage_inodes = ? WHERE id = ?", usage.bytes,
                         usage.inodes, id);
}

absl::Status MetadataWriter::SetContent(const SnapshotRow& row) {
  const std::optional<std::string> chain_id = Printed(row.chain_id);
  return connection_.Run("UPDATE snapshot SET directory_id = ?, adopted_id = ?, chain_id = ? WHERE id = ?",
                         row.directory_id, row.adopted_id, chain_id, row.id);
}

absl::Status MetadataWriter::DeleteSnapshot(int64_t id) {
  return connection_.Run("DELETE FROM snapshot WHERE id = ?", id);
}

absl::Status MetadataWriter::InsertLayer(const LayerRecord& layer, bool synced, const std::string& boot_id,
                                         absl::Time now) {
  const LayerFacts& facts = layer.facts;
  const std::string diff_id = facts.diff_id.ToString();
  const std::string blob_digest = facts.blob_digest.ToString();
  const std::optional<std::string> chain_id = Printed(facts.chain_id);
  return connection_.Run(
      "INSERT INTO layer(directory_id, diff_id, chain_id, blob_digest, blob_bytes, usage_bytes, "
      "usage_inodes, synced, boot_id, published_ns, tar_bytes) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      layer.id, diff_id, chain_id, blob_digest, facts.blob_bytes, facts.usage_bytes, facts.usage_inodes, synced,
      boot_id, absl::ToUnixNanos(now), facts.tar_bytes);
}

absl::Status MetadataWriter::MarkSynced(int64_t directory_id) {
  return connection_.Run("UPDATE layer SET synced = 1 WHERE directory_id = ?", directory_id);
}

absl::Status MetadataWriter::DeleteLayer(int64_t directory_id) {
  return connection_.Run("DELETE FROM layer WHERE directory_id = ?", directory_id);
}

absl::Status MetadataWriter::SetMeta(const std::string& key, const std::string& value) {
  return connection_.Run(
      "INSERT INTO meta(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", key, value);
}

}  // namespace sluice
