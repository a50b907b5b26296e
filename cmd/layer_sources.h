// An opened image's layers as unpack/ takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "cmd/image_arguments.h"
#include "unpack/layer.h"

namespace sluice {

// Base first. `opened` and `cancellation` are borrowed by them. InvalidArgument names a layer that is no tar.
absl::StatusOr<std::vector<LayerSource>> LayerSources(const OpenedImage& opened, const Cancellation& cancellation);

// The sum of its layers as they are stored.
int64_t BlobBytes(const ResolvedImage& image);

}  // namespace sluice
