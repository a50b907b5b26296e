#include "snapshotter/fill/proof.h"

#include "absl/strings/str_cat.h"
#include "registry/image_config.h"
#include "snapshotter/fallback_reason.h"

namespace sluice {

absl::Status ProveChain(const ChainClaim& claim, const Digest& diff_id) {
  if (claim.config_diff_id.has_value()) {
    if (*claim.config_diff_id == diff_id) return absl::OkStatus();
    return WithReason(
        absl::FailedPreconditionError(absl::StrCat("the blob unpacks to diffID ", diff_id.ToString(),
                                                   ", the image config says ", claim.config_diff_id->ToString())),
        FallbackReason::kCorrupt);
  }
  if (!claim.has_parent && diff_id == claim.chain_id) return absl::OkStatus();
  if (claim.has_parent && claim.parent_chain_id.has_value() &&
      ChainId(*claim.parent_chain_id, diff_id) == claim.chain_id) {
    return absl::OkStatus();
  }
  if (claim.has_parent && !claim.parent_chain_id.has_value()) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("nothing proves that the layer is ", claim.chain_id.ToString(),
                                       ": its parent was unpacked by containerd and no image config names it")),
                      FallbackReason::kUnproven);
  }
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat("the blob unpacks to diffID ", diff_id.ToString(),
                                                 ", which does not give chainID ", claim.chain_id.ToString())),
      FallbackReason::kCorrupt);
}

}  // namespace sluice
