// One fill: blob → staged directory → verified → published. The steps that do I/O; when they run is the Filler's
// affair.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/cancellation.h"
#include "snapshotter/fill/fill_ledger.h"
#include "snapshotter/fill/layer_sources.h"
#include "snapshotter/fill/proof.h"
#include "snapshotter/fill/strategy.h"
#include "snapshotter/layer_directories.h"
#include "unpack/overlay_unpacker.h"

namespace sluice {

// What is to be filled, and how it may be got.
struct FillJob {
  ChainClaim claim;
  LayerWanted wanted;
};

// One thread at a time. Destroying it deletes what was staged and not published.
class LayerFill {
 public:
  // All borrowed but `job`.
  LayerFill(FillJob job, LayerDirectories& directories, LayerSources& sources, FillLedger& ledger,
            const UnpackLimits& limits, const Cancellation& cancellation);

  // The directory of this layer, if there is one already.
  absl::StatusOr<std::optional<LayerRecord>> FindExisting();

  // Goes down the strategy ladder until a blob has been streamed into a staged directory and verified. A rung that
  // fails costs one WARNING. First StreamFromThisHost(): false if what is left needs the network; then
  // StreamFromRegistry(). Errors: Cancelled; else the reason, with its mend, why containerd has to do it.
  absl::StatusOr<bool> StreamFromThisHost();
  absl::Status StreamFromRegistry();

  // After streaming: true if Publish() needs no parents.
  bool self_contained() const { return unpacker_->self_contained(); }

  // Settles what depends on the layers below (`parents`: their directories, topmost first; not looked at when
  // self_contained()), proves the layer, puts it in place and logs it.
  absl::StatusOr<LayerRecord> Publish(absl::Span<const int64_t> parents);

  const FillJob& job() const { return job_; }

 private:
  // Tries what is left of offers_ while `source` allows; true once one of them has held.
  absl::StatusOr<bool> TryOffers(const std::function<bool(BlobSource)>& allows);
  absl::Status StreamFrom(const LayerOffer& offer);
  absl::Status NothingHolds() const;

  const FillJob job_;
  LayerDirectories& directories_;
  LayerSources& sources_;
  const UnpackLimits limits_;
  const Cancellation& cancellation_;
  const std::unique_ptr<FillLedger::Page> page_;

  LayerSources::Offers offers_;
  size_t next_offer_ = 0;
  absl::Status last_failure_;

  // Of the offer that held.
  std::unique_ptr<StagedLayer> staged_;
  std::unique_ptr<OverlayUnpacker> unpacker_;  // borrows staged_'s descriptor
  Strategy strategy_ = Strategy::kDefer;
  BlobSource source_ = BlobSource::kNone;
  std::string place_;
  absl::Duration busy_;  // spent working, not waiting for other layers
};

}  // namespace sluice
