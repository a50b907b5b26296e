// From the configuration to what gets layers onto the disk: stores, registries, policies.
#pragma once

#include "absl/status/statusor.h"
#include "cmd/config.h"
#include "snapshotter/fill/image_layer_provider.h"
#include "snapshotter/fill/image_origin.h"
#include "snapshotter/fill/layer_sources.h"

namespace sluice {

// All but what belongs to a running daemon: the content store, the directories, the cache. InvalidArgument naming the
// key whose hosts are none.
absl::StatusOr<LayerProviderOptions> ProviderOptions(const Config& config);

// The parts of it that find blobs and the registries of images, for whoever does that without filling layers.
LayerSources::Options SourcesOf(const LayerProviderOptions& options);
OriginOptions OriginsOf(const LayerProviderOptions& options);

}  // namespace sluice
