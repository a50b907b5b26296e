// The hard links of a layer whose targets were not there yet.
#pragma once

#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/layer_tree.h"

namespace sluice {

// Where a link's target is in the tree, or nullopt if it is not there; `pending` are the paths of the links that are
// still to be made, each of which may become it.
using LinkTargetFinder = absl::FunctionRef<absl::StatusOr<std::optional<std::string>>(
    const PendingLink& link, const absl::flat_hash_set<absl::string_view>& pending)>;

// Forgets the links whose place was taken by an entry that came later; of several links at one path the last one
// counts. To be called while the tree has nothing but entries: what is there then is later than the link.
absl::Status DropReplacedLinks(LayerTree& tree);

// Makes the links of `tree` whose targets `find` knows, links to such links included, and keeps the others there. What
// is in a link's place gives way. Errors name the link.
// REQUIRES: DropReplacedLinks().
absl::Status MakePendingLinks(LayerTree& tree, LinkTargetFinder find);

// Finds targets in this layer only.
absl::StatusOr<std::optional<std::string>> FindLinkTargetInLayer(LayerTree& tree, const PendingLink& link);

}  // namespace sluice
