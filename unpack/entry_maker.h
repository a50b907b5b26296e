// Makes one entry of a layer: a file with its content, a directory, a link, a device.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/file_tree.h"
#include "unpack/layer_tree.h"
#include "unpack/tar_entry.h"

namespace sluice {

// Makes `entry` at `path`, whose parent is in the tree. What is there already gives way, but for a directory under a
// directory, which takes the new metadata. `entry.name` is not looked at, nor are hard links taken here.
absl::Status MakeEntry(LayerTree& tree, absl::string_view path, const TarEntry& entry, ContentSource content);

// Makes `path` another name of `target`, which is in the tree and not a directory, and puts `metadata` on what both now
// name. What is at `path` already gives way.
absl::Status MakeHardLink(LayerTree& tree, absl::string_view path, absl::string_view target,
                          const FileMetadata& metadata);

}  // namespace sluice
