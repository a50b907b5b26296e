// One fill: blob → staged directory → verified → published. The steps that do I/O; when they run is the Filler's
// affair.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/cancellation.h"
#include "snapshotter/fill/local_blobs.h"
#include "snapshotter/fill/plan.h"
#include "snapshotter/fill/proof.h"
#include "snapshotter/fill/strategy.h"
#include "snapshotter/layer_directories.h"
#include "unpack/overlay_unpacker.h"

namespace sluice {

// What is to be filled, and how it may be got.
struct FillJob {
  ChainClaim claim;
  std::vector<PlannedBlob> blobs;
  std::string image;  // for logs
  Locality locality = Locality::kUnknown;
  std::vector<Endpoint> endpoints;  // as Plan::endpoints
};

// One thread at a time. Destroying it deletes what was staged and not published.
class LayerFill {
 public:
  // All borrowed but `job`.
  LayerFill(FillJob job, LayerDirectories& directories, LocalBlobs& blobs, const UnpackLimits& limits,
            const Cancellation& cancellation);

  // The directory of this layer, if there is one already.
  absl::StatusOr<std::optional<LayerRecord>> FindExisting();

  // Goes down the strategy ladder until a blob has been streamed into a staged directory and verified. A rung that
  // fails costs one WARNING. Errors: Cancelled; else the reason, with its mend, why containerd has to do it.
  absl::Status Stream();

  // After Stream(): true if Publish() needs no parents.
  bool self_contained() const { return unpacker_->self_contained(); }

  // Settles what depends on the layers below (`parents`: their directories, topmost first; not looked at when
  // self_contained()), proves the layer, puts it in place and logs it.
  absl::StatusOr<LayerRecord> Publish(absl::Span<const int64_t> parents);

  const FillJob& job() const { return job_; }

 private:
  absl::Status StreamFromStore(Strategy strategy, LocalBlob& found);
  std::string NothingHere() const;

  const FillJob job_;
  LayerDirectories& directories_;
  LocalBlobs& blobs_;
  const UnpackLimits limits_;
  const Cancellation& cancellation_;

  // Of the rung that worked.
  std::unique_ptr<StagedLayer> staged_;
  std::unique_ptr<OverlayUnpacker> unpacker_;  // borrows staged_'s descriptor
  Strategy strategy_ = Strategy::kDefer;
  std::shared_ptr<const Store> store_;
  absl::Duration busy_;  // spent working, not waiting for other layers
};

}  // namespace sluice
