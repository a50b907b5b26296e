// An opened image's layers as unpack/ takes them.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/cancellation.h"
#include "cmd/image_arguments.h"
#include "cmd/image_result.h"
#include "cmd/progress.h"
#include "unpack/layer.h"

namespace sluice {

// Base first. All arguments are borrowed by them. Reading them tells `progress`, which takes the place of
// UnpackOptions::on_progress, and notes in `results` where each layer came from: read that when they are no longer
// read. InvalidArgument names a layer that is no tar.
absl::StatusOr<std::vector<LayerSource>> MakeLayerSources(const OpenedImage& opened, const Cancellation& cancellation,
                                                          Progress& progress, std::vector<LayerResult>& results);

// The layers could not be read to the end: `failure`, and what is to be done about it. A damaged layer in the cache
// would fail each run; which one it was the error says in words only, so all that were read from there are fetched
// again.
absl::Status DropDamagedLayers(const OpenedImage& opened, absl::Span<const LayerResult> results,
                               const absl::Status& failure);

}  // namespace sluice
