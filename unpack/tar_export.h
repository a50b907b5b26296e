// All layers of an image → one tar of the tree that UnpackFlat makes, without a directory on a disk.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "unpack/layer.h"
#include "unpack/tar_writer.h"

namespace sluice {

// Reads every layer twice (more often where a link to a file below has made two files of one): once to see what is left
// of it, and to verify it; once to write that. Nothing reaches `sink` before all layers are verified. The same layers
// always give the same bytes. `layers` is base first.
// Directories come first, so that what follows has a place. Then files, in the layers' order. In the end directories
// again, each with its symlinks, when nothing will change their times any more: GNU tar makes symlinks last of all, and
// then puts right only those directories whose entries it has just seen.
// Errors: as UnpackFlat; the sink's. Memory grows with the number of files (limits.max_index_bytes).
absl::StatusOr<std::vector<UnpackedLayer>> ExportTar(absl::Span<const LayerSource> layers, const UnpackOptions& options,
                                                     const TarWriter::Sink& sink);

}  // namespace sluice
