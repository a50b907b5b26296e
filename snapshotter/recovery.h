// What a start puts in order: the database is the truth, and the directories follow it (DESIGN §5).
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {

struct RecoveryReport {
  int64_t discarded_directories = 0;  // without a row
  int64_t missing_directories = 0;    // rows whose directory is gone: reported by name, answer FailedPrecondition
  int64_t discarded_layers = 0;       // layer rows without directory that nobody claims
  int64_t suspect_layers = 0;         // filled before an unclean end of the last boot and perhaps not on the disk
};

// To be called once, before anything else uses the three. Unfinished and unknown directories go to the trash, each
// missing directory is logged. An error means that nothing can be served; a bad snapshot is no error.
absl::StatusOr<RecoveryReport> Recover(SnapshotTree& tree, MetadataStore& metadata, LayerStore& layers);

}  // namespace sluice
