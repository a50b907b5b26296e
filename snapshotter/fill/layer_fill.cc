#include "snapshotter/fill/layer_fill.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "glog/logging.h"

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

void LogFilled(const FillJob& job, Strategy strategy, const Store& store, const UnpackedLayer& layer,
               absl::Duration busy) {
  const double seconds = absl::ToDoubleSeconds(busy);
  LOG(INFO) << absl::StreamFormat("%s store=%s kind=%s image=%s digest=%s bytes=%d seconds=%.3f MB/s=%.1f",
                                  LogPhrase(strategy), store.name(), store.kind(), job.image.empty() ? "-" : job.image,
                                  layer.blob_digest.ToString(), layer.blob_bytes, seconds,
                                  static_cast<double>(layer.blob_bytes) / 1e6 / std::max(seconds, 1e-6));
}

}  // namespace

LayerFill::LayerFill(FillJob job, LayerDirectories& directories, LocalBlobs& blobs, const UnpackLimits& limits,
                     const Cancellation& cancellation)
    : job_(std::move(job)), directories_(directories), blobs_(blobs), limits_(limits), cancellation_(cancellation) {}

absl::StatusOr<std::optional<LayerRecord>> LayerFill::FindExisting() {
  if (!job_.claim.config_diff_id.has_value()) return std::nullopt;  // the fill has to find out which layer it is
  return directories_.Find(*job_.claim.config_diff_id, job_.claim.chain_id);
}

absl::Status LayerFill::Stream() {
  LocalBlobs::Found found = blobs_.Open(job_.blobs, job_.endpoints);
  LayerSituation situation;
  situation.plan_known = !job_.blobs.empty();
  situation.locality = job_.locality;
  situation.in_store = !found.blobs.empty();
  situation.endpoint_known = !job_.endpoints.empty();

  absl::Status last_failure;
  for (const Rung& rung : StrategyLadder(situation)) {
    if (rung.source != BlobSource::kStore) continue;  // stores are what this daemon reads from
    for (LocalBlob& blob : found.blobs) {
      const absl::Status status = StreamFromStore(rung.strategy, blob);
      if (status.ok() || IsFinal(status)) return status;
      blobs_.Reject(blob, status);
      last_failure = status;
    }
  }
  // The WARNING has been given; that containerd takes over is then in order.
  const absl::Status& unusable = last_failure.ok() ? found.rejection : last_failure;
  if (!unusable.ok()) return absl::NotFoundError(absl::StrCat("no usable copy on this host: ", unusable.message()));
  return absl::NotFoundError(NothingHere());
}

absl::Status LayerFill::StreamFromStore(Strategy strategy, LocalBlob& found) {
  const absl::Time start = absl::Now();
  unpacker_.reset();
  ASSIGN_OR_RETURN(staged_, directories_.Stage());
  UnpackOptions options;
  options.limits = limits_;
  options.cancellation = &cancellation_;
  unpacker_ = std::make_unique<OverlayUnpacker>(staged_->fd(), options);

  LayerSource source;
  source.name = absl::StrCat("layer ", found.blob.digest.Short());
  // The file that was found is the one that is read, whatever happens to its name meanwhile.
  source.open = [this, &found]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    if (found.reader != nullptr) return std::move(found.reader);
    return found.store->OpenBlob(found.blob.digest, found.blob.size, job_.endpoints);
  };
  source.expected = {
      .blob_digest = found.blob.digest, .blob_bytes = found.blob.size, .diff_id = job_.claim.config_diff_id};
  absl::Status status = unpacker_->Stream(source);
  if (!status.ok()) {
    unpacker_.reset();
    staged_.reset();
    return status;
  }
  strategy_ = strategy;
  store_ = found.store;
  busy_ = absl::Now() - start;
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
  facts.usage_bytes = layer.usage_bytes;
  facts.usage_inodes = layer.usage_inodes;
  unpacker_.reset();
  ASSIGN_OR_RETURN(LayerRecord record, directories_.Publish(std::move(staged_), facts));
  LogFilled(job_, strategy_, *store_, layer, busy_ + (absl::Now() - start));
  return record;
}

std::string LayerFill::NothingHere() const {
  const std::string image = job_.image.empty() ? "the image" : absl::StrCat("image ", job_.image);
  if (job_.blobs.empty()) return absl::StrCat("the layer of ", image, " is no tar, plain or gzip or zstd");
  const std::string stores = blobs_.Names();
  if (stores.empty()) {
    return absl::StrCat("no store is configured: name the directory of the registry that has ", image,
                        " as [[store]] in config.toml");
  }
  return absl::StrCat("blob ", job_.blobs[0].digest.ToString(), " of ", image, " is in no store on this host (", stores,
                      "): if its registry keeps its blobs elsewhere, add that directory as [[store]] to ",
                      "config.toml");
}

}  // namespace sluice
