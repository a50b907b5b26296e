#include "snapshotter/fill/layer_fill.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/fallback_reason.h"

namespace sluice {
namespace {

// No other copy of the blob will do better after one of these.
bool IsFinal(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsFailedPrecondition(status) || absl::IsResourceExhausted(status);
}

absl::StatusOr<std::vector<UniqueFd>> OpenAll(LayerDirectories& directories, absl::Span<const int64_t> ids) {
  std::vector<UniqueFd> fds;
  fds.reserve(ids.size());
  for (const int64_t id : ids) {
    ASSIGN_OR_RETURN(UniqueFd fd, directories.Open(id));
    fds.push_back(std::move(fd));
  }
  return fds;
}

void LogFilled(const FillJob& job, Strategy strategy, const std::string& place, const UnpackedLayer& layer,
               absl::Duration busy) {
  const double seconds = absl::ToDoubleSeconds(busy);
  const std::string& image = job.wanted.image;
  LOG(INFO) << absl::StreamFormat("%s %s image=%s digest=%s bytes=%d seconds=%.3f MB/s=%.1f", LogPhrase(strategy),
                                  place, image.empty() ? "-" : image, layer.blob_digest.ToString(), layer.blob_bytes,
                                  seconds, static_cast<double>(layer.blob_bytes) / 1e6 / std::max(seconds, 1e-6));
}

bool IsOnThisHost(BlobSource source) { return source == BlobSource::kStore || source == BlobSource::kOwnCopy; }

}  // namespace

LayerFill::LayerFill(FillJob job, LayerDirectories& directories, LayerSources& sources, FillLedger& ledger,
                     const UnpackLimits& limits, const Cancellation& cancellation)
    : job_(std::move(job)),
      directories_(directories),
      sources_(sources),
      limits_(limits),
      cancellation_(cancellation),
      page_(ledger.Begin(job_.wanted.image, job_.wanted.blobs)) {}

absl::StatusOr<std::optional<LayerRecord>> LayerFill::FindExisting() {
  if (!job_.claim.config_diff_id.has_value()) return std::nullopt;  // the fill has to find out which layer it is
  return directories_.Find(*job_.claim.config_diff_id, job_.claim.chain_id);
}

absl::StatusOr<bool> LayerFill::StreamFromThisHost() {
  offers_ = sources_.Find(job_.wanted, cancellation_);
  ASSIGN_OR_RETURN(const bool streamed, TryOffers(IsOnThisHost));
  if (streamed) return true;
  if (next_offer_ == offers_.offers.size()) return NothingHolds();
  page_->QueuedForDownload();
  return false;
}

absl::Status LayerFill::StreamFromRegistry() {
  ASSIGN_OR_RETURN(const bool streamed, TryOffers([](BlobSource) { return true; }));
  return streamed ? absl::OkStatus() : NothingHolds();
}

absl::StatusOr<bool> LayerFill::TryOffers(const std::function<bool(BlobSource)>& allows) {
  while (next_offer_ < offers_.offers.size() && allows(offers_.offers[next_offer_].source)) {
    const LayerOffer& offer = offers_.offers[next_offer_++];
    const absl::Status status = StreamFrom(offer);
    if (status.ok()) {
      offers_ = {};  // the others may hold descriptors
      return true;
    }
    if (IsFinal(status)) return status;
    offer.reject(status);
    page_->GaveUp(offer.strategy, status);
    last_failure_ = status;
  }
  return false;
}

// The WARNINGs have been given; that containerd takes over is then in order.
absl::Status LayerFill::NothingHolds() const {
  const absl::Status& unusable = last_failure_.ok() ? offers_.rejection : last_failure_;
  if (unusable.ok()) return WithReason(absl::NotFoundError(offers_.reason), offers_.cause);
  const bool asked_registry = !offers_.offers.empty() && !IsOnThisHost(offers_.offers.back().source);
  // That a guessed port does not have it says less than that the port is not known.
  const FallbackReason reason = ReasonOf(unusable);
  return WithReason(absl::NotFoundError(absl::StrCat(asked_registry ? offers_.reason : "no usable copy on this host",
                                                     ": ", unusable.message())),
                    reason == FallbackReason::kMissing ? offers_.cause : reason);
}

absl::Status LayerFill::StreamFrom(const LayerOffer& offer) {
  const absl::Time start = absl::Now();
  page_->Reading(offer.strategy, offer.blob);
  unpacker_.reset();
  ASSIGN_OR_RETURN(staged_, directories_.Stage());
  UnpackOptions options;
  options.limits = limits_;
  options.cancellation = &cancellation_;
  unpacker_ = std::make_unique<OverlayUnpacker>(staged_->fd(), options);

  LayerSource source;
  source.name = absl::StrCat("layer ", offer.blob.digest.Short());
  source.open = [this, &offer]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    ASSIGN_OR_RETURN(std::unique_ptr<ByteReader> reader, offer.open());
    return page_->Metered(std::move(reader));
  };
  source.expected = {
      .blob_digest = offer.blob.digest, .blob_bytes = offer.blob.size, .diff_id = job_.claim.config_diff_id};
  absl::Status status = unpacker_->Stream(source);
  if (!status.ok()) {
    unpacker_.reset();
    staged_.reset();
    return status;
  }
  strategy_ = offer.strategy;
  source_ = offer.source;
  place_ = offer.place;
  busy_ = absl::Now() - start;
  page_->Settling();
  return absl::OkStatus();
}

absl::StatusOr<LayerRecord> LayerFill::Publish(absl::Span<const int64_t> parents) {
  const absl::Time start = absl::Now();
  const bool shared = self_contained();
  std::vector<UniqueFd> parent_fds;
  if (!shared) {
    ASSIGN_OR_RETURN(parent_fds, OpenAll(directories_, parents));
  }
  std::vector<int> fds;
  fds.reserve(parent_fds.size());
  for (const UniqueFd& fd : parent_fds) fds.push_back(fd.get());
  ASSIGN_OR_RETURN(const UnpackedLayer layer, unpacker_->Finish(fds));
  RETURN_IF_ERROR(ProveChain(job_.claim, layer.diff_id));

  LayerFacts facts;
  facts.diff_id = layer.diff_id;
  if (!shared) facts.chain_id = job_.claim.chain_id;
  facts.blob_digest = layer.blob_digest;
  facts.blob_bytes = layer.blob_bytes;
  facts.tar_bytes = layer.tar_bytes;
  facts.usage_bytes = layer.usage_bytes;
  facts.usage_inodes = layer.usage_inodes;
  unpacker_.reset();
  ASSIGN_OR_RETURN(LayerRecord record, directories_.Publish(std::move(staged_), facts));
  busy_ += absl::Now() - start;
  page_->Filled({record.id, strategy_, source_, layer.blob_bytes, busy_});
  LogFilled(job_, strategy_, place_, layer, busy_);
  return record;
}

}  // namespace sluice
