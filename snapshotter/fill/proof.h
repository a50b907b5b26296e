// Is a filled layer the one that a chainID names (image-spec config.md, Layer ChainID)? Nothing is kept that is not.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "base/digest.h"

namespace sluice {

// What is known beforehand. A chainID commits to all diffIDs below it, so either of two facts is enough.
struct ChainClaim {
  Digest chain_id;
  // Set: a config whose diff_ids up to this layer hash to `chain_id` says that this is the layer's diffID.
  std::optional<Digest> config_diff_id = std::nullopt;
  bool has_parent = false;
  // The chainID of the layer below, if proven.
  std::optional<Digest> parent_chain_id = std::nullopt;
};

// OK if a layer whose content hashes to `diff_id` is the one that `claim` names; else FailedPrecondition.
absl::Status ProveChain(const ChainClaim& claim, const Digest& diff_id);

}  // namespace sluice
