// Layers unpacked by an ordinary user, and what the tree would be if he were root.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/testing/tree_listing.h"
#include "unpack/unprivileged_metadata.h"

namespace sluice::testing {

struct UnprivilegedTree {
  InexactFiles inexact;
  TreeListing on_disk;   // everything belongs to OrdinaryUser
  TreeListing in_image;  // with what Finish() said of it: as root's tree
};

// The layers, uncompressed, base first. Adds a failure if a file is visited twice, or belongs to somebody else.
absl::StatusOr<UnprivilegedTree> UnpackUnprivileged(const std::vector<std::string>& tars,
                                                    UnprivilegedMetadata::Purpose purpose);

}  // namespace sluice::testing
