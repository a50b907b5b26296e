// Can the file system under a root hold overlayfs layers? Asked once at start, so that the answer is one clear sentence
// instead of a strange error in the middle of a pull.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

struct RootProbeReport {
  // What works but for a rare image: one sentence each, for the log.
  std::vector<std::string> warnings;
};

// Tries in a directory of its own below `root_fd` (borrowed), which it removes again: a whiteout, a trusted xattr, file
// types in directory listings, an overlay mount (never attached to any mount namespace). REQUIRES: root.
// FailedPrecondition with cause and mend for the first that fails. `root` is the path, for messages.
absl::StatusOr<RootProbeReport> ProbeRoot(int root_fd, const std::string& root);

}  // namespace sluice
