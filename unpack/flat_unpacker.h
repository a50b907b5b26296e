// All layers of an image → one directory tree: a root file system (OCI image-spec layer.md, Applying Changesets).
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "unpack/layer.h"
#include "unpack/metadata_policy.h"

namespace sluice {

// Applies `layers`, base first, to the directory `root_fd` (borrowed, empty). The blob of the next layer is read and
// decompressed while the one before is still being written; memory stays bounded whatever the layers.
// The root's own mode, owner and times are those of the topmost "./" entry, as in a merged view.
// `policy` is borrowed. An ordinary user gives an UnprivilegedMetadata, and calls its Finish() afterwards.
// Errors: as OverlayUnpacker::Stream; the tree is then incomplete and the caller deletes it.
absl::StatusOr<std::vector<UnpackedLayer>> UnpackFlat(int root_fd, absl::Span<const LayerSource> layers,
                                                      const UnpackOptions& options,
                                                      MetadataPolicy& policy = PrivilegedMetadata());

}  // namespace sluice
