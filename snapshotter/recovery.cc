#include "snapshotter/recovery.h"

#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/status_macros.h"
#include "glog/logging.h"

namespace sluice {
namespace {

// Rows whose directory is gone. A layer row that nobody claims is of no more use; the others are somebody's snapshot.
absl::Status ReportMissing(const std::vector<SnapshotRow>& snapshots, const std::vector<LayerRecord>& layers,
                           const SnapshotTree& tree, MetadataStore& metadata, RecoveryReport& report) {
  absl::flat_hash_set<int64_t> claimed;
  for (const SnapshotRow& row : snapshots) {
    for (const std::optional<int64_t>& directory : {row.directory_id, row.adopted_id}) {
      if (!directory.has_value()) continue;
      claimed.insert(*directory);
      if (tree.Exists(*directory)) continue;
      ++report.missing_directories;
      LOG(ERROR) << "start: snapshot " << row.key << " of " << row.snapshotter << ": its directory "
                 << tree.layout().SnapshotPath(*directory) << " is missing";
    }
  }
  for (const LayerRecord& layer : layers) {
    if (claimed.contains(layer.id) || tree.Exists(layer.id)) continue;
    ++report.discarded_layers;
    RETURN_IF_ERROR(metadata.Write([&layer](MetadataWriter& writer) { return writer.DeleteLayer(layer.id); }));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RecoveryReport> Recover(SnapshotTree& tree, MetadataStore& metadata, LayerStore& layers) {
  RecoveryReport report;
  RETURN_IF_ERROR(tree.DiscardStaged());
  RETURN_IF_ERROR(tree.DiscardForeign());

  std::vector<SnapshotRow> snapshots;
  std::vector<LayerRecord> layer_rows;
  RETURN_IF_ERROR(metadata.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(snapshots, reader.SnapshotsWithDirectory());
    ASSIGN_OR_RETURN(layer_rows, reader.Layers());
    return absl::OkStatus();
  }));
  absl::flat_hash_set<int64_t> known;
  for (const SnapshotRow& row : snapshots) known.insert(*row.directory_id);
  for (const LayerRecord& layer : layer_rows) known.insert(layer.id);

  RETURN_IF_ERROR(tree.SettleSpares(known));
  ASSIGN_OR_RETURN(const std::vector<int64_t> published, tree.Published());
  for (const int64_t id : published) {
    if (known.contains(id)) continue;
    ++report.discarded_directories;
    RETURN_IF_ERROR(tree.Discard(id));
  }
  RETURN_IF_ERROR(ReportMissing(snapshots, layer_rows, tree, metadata, report));

  ASSIGN_OR_RETURN(const std::vector<LayerRecord> suspects, layers.Suspects());
  report.suspect_layers = static_cast<int64_t>(suspects.size());
  for (const LayerRecord& layer : suspects) {
    LOG(WARNING) << "start: layer " << layer.facts.diff_id.ToString() << " in " << tree.layout().FsPath(layer.id)
                 << " was not known to be on the disk when the machine went down: if its files are damaged, remove "
                    "the images that use it and pull them again";
  }
  return report;
}

}  // namespace sluice
