#include "snapshotter/service/backfill/background_backfill.h"

#include <sys/resource.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/labels.h"
#include "snapshotter/service/containerd/namespace_client.h"

namespace sluice {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kLongestWait = absl::Hours(1);
constexpr int kLowestPriority = 19;

absl::Time Soon() { return absl::Now() + kCallTimeout; }

}  // namespace

BackgroundBackfill::BackgroundBackfill(Options options)
    : containerd_(options.containerd),
      store_(*options.store),
      sources_(std::move(options.sources)),
      origins_(std::move(options.origins)),
      backfill_({.containerd = options.containerd,
                 .store = options.store,
                 .sources = &sources_,
                 .origins = &origins_,
                 .on_rejected = [](const LayerOffer& offer, const absl::Status& reason) { offer.reject(reason); },
                 .before_read = [this] { return AwaitQuiet(); }}) {
  for (const std::string& snapshotter : options.snapshotters) queue_.Add({"", snapshotter}, absl::Now());
  thread_ = std::thread([this] { Work(); });
}

BackgroundBackfill::~BackgroundBackfill() {
  {
    const MutexLock lock(mutex_);
    stopping_.Cancel();
  }
  changed_.NotifyAll();
  thread_.join();
}

void BackgroundBackfill::NotePrepareBegins() {
  const MutexLock lock(mutex_);
  ++prepares_;
}

void BackgroundBackfill::NotePrepareEnds(const PrepareRequest& request, const absl::Status& answer) {
  const BackfillPlace place = {NamespaceOfKey(request.key), request.snapshotter};
  {
    const MutexLock lock(mutex_);
    --prepares_;
    queue_.NotePrepare(place, request.parent, LabelValue(request.labels, kRefLabel), absl::IsAlreadyExists(answer),
                       absl::Now());
  }
  changed_.NotifyAll();
}

BackgroundBackfill::Totals BackgroundBackfill::totals() const {
  const MutexLock lock(mutex_);
  return {queue_.size(), blobs_, bytes_};
}

absl::Status BackgroundBackfill::AwaitQuiet() {
  const MutexLock lock(mutex_);
  while (prepares_ > 0 && !stopping_.cancelled()) changed_.Wait(mutex_);
  return stopping_.Check();
}

void BackgroundBackfill::Work() {
  // Of this thread alone; without it the work is only less polite.
  setpriority(PRIO_PROCESS, 0, kLowestPriority);
  const MutexLock lock(mutex_);
  while (!stopping_.cancelled()) {
    const absl::Time now = absl::Now();
    const std::optional<BackfillPlace> place = prepares_ == 0 ? queue_.Due(now) : std::nullopt;
    if (!place.has_value()) {
      const absl::Duration wait = prepares_ == 0 ? queue_.NextDue() - now : kLongestWait;
      changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(std::min(wait, kLongestWait)));
      continue;
    }
    mutex_.Unlock();
    const absl::StatusOr<Round> round = Look(*place);
    mutex_.Lock();
    if (!round.ok()) {
      VLOG(1) << "backfill: " << round.status().message();
      queue_.Postpone(*place, absl::Now());
    } else if (!queue_.Done(*place, round->top_chain_ids, round->whole, absl::Now())) {
      LOG_IF(WARNING, !round->whole) << "backfill: given up until the next pull or start: images of namespace "
                                     << place->containerd_namespace << " lack blobs";
    }
  }
}

absl::StatusOr<BackgroundBackfill::Round> BackgroundBackfill::Look(const BackfillPlace& place) {
  Round round;
  if (place.containerd_namespace.empty()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> namespaces, ListNamespaces(containerd_, Soon()));
    const MutexLock lock(mutex_);
    for (const std::string& name : namespaces) queue_.Add({name, place.snapshotter}, absl::Now());
    return round;
  }
  ASSIGN_OR_RETURN(const UnpackedImages images,
                   ListUnpackedImages(store_, place.containerd_namespace, place.snapshotter, Soon()));
  for (const UnpackedImage& image : images.images) {
    round.top_chain_ids.insert(image.top_chain_id);
    const ImageKey key(images.containerd_namespace, image.manifest, image.created_at);
    if (whole_.Find(key) != nullptr) continue;
    const absl::Status filled = FillImage(images, image);
    RETURN_IF_ERROR(stopping_.Check());
    if (filled.ok()) {
      whole_.Insert(key, true);
    } else {
      round.whole = false;
      LOG(WARNING) << "backfill: " << image.names.front() << ": " << filled.message();
    }
  }
  return round;
}

absl::Status BackgroundBackfill::FillImage(const UnpackedImages& images, const UnpackedImage& image) {
  RETURN_IF_ERROR(AwaitQuiet());
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(const ImageBlobs blobs, backfill_.Inspect(images, image));
  if (blobs.missing.empty()) return absl::OkStatus();
  int64_t bytes = 0;
  RETURN_IF_ERROR(backfill_.Fill(blobs, stopping_, [this, &bytes](const FilledBlob& filled) {
    bytes += filled.blob.size;
    const MutexLock lock(mutex_);
    ++blobs_;
    bytes_ += filled.blob.size;
  }));
  LOG(INFO) << absl::StreamFormat("backfilled image=%s namespace=%s blobs=%d bytes=%d seconds=%.3f",
                                  image.names.front(), images.containerd_namespace, blobs.missing.size(), bytes,
                                  absl::ToDoubleSeconds(absl::Now() - start));
  return absl::OkStatus();
}

}  // namespace sluice
