// An image's layers into one directory, what every verb does that needs a root file system.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "cmd/image_arguments.h"
#include "cmd/image_result.h"
#include "cmd/progress.h"
#include "unpack/layer.h"

namespace sluice {

// Unpacks into `directory_fd` (borrowed, empty) and tells `progress`, which takes the place of `options.on_progress`.
// `options.cancellation` also ends the reading. Errors: as UnpackFlat, with the image's name; InvalidArgument for a
// layer that is no tar.
absl::StatusOr<std::vector<LayerResult>> UnpackImage(const OpenedImage& opened, int directory_fd,
                                                     const UnpackOptions& options, Progress& progress);

}  // namespace sluice
