// Prepare: the way of a layer that the client has named (DESIGN §3).
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/labels.h"
#include "snapshotter/snapshot_errors.h"
#include "snapshotter/snapshotter.h"

namespace sluice {
namespace {

// A layer may expire between being provided and being claimed; once more is enough, since it is then new.
constexpr int kMaxAttempts = 2;
constexpr size_t kNameSuffixDigits = 12;

// The name of a committed layer: its chainID, unless that is taken: by the same chain over another parent, say, one
// that containerd unpacked in its own namespace. `attempt` counts from 0.
std::string CommittedName(const std::string& ref, const std::string& parent, int attempt) {
  if (attempt == 0) return ref;
  const std::string suffix = Digest::Of(parent).Hex().substr(0, kNameSuffixDigits);
  return attempt == 1 ? absl::StrCat(ref, "-", suffix) : absl::StrCat(ref, "-", suffix, "-", attempt);
}

// Reasons that are the ordinary case for images that are not ours to speed up.
bool IsOrdinary(const absl::Status& reason) {
  return absl::IsNotFound(reason) || absl::IsFailedPrecondition(reason) || absl::IsUnimplemented(reason);
}

}  // namespace

void Snapshotter::NoteDeferred(PendingPrepare& call, const absl::Status& reason) {
  call.GotBy(kGotDeferred);
  if (parts_.ledger != nullptr) parts_.ledger->Deferred(reason);
}

struct Snapshotter::Offer {
  PrepareRequest request;
  LayerRequest layer;
  std::shared_ptr<PendingPrepare> call;
  int attempt = 1;
  std::shared_ptr<void> hold;  // keeps the layers above from expiring while this one is waited for
};

void Snapshotter::Prepare(PrepareRequest request, std::shared_ptr<PendingPrepare> call) {
  if (!call->Proceed()) return;
  absl::StatusOr<std::optional<LayerRequest>> wanted = WantedLayer(request, *call);
  if (!wanted.ok()) return call->Answer(wanted.status());
  if (!wanted->has_value()) return call->Answer(Create(SnapshotKind::kActive, request));

  auto offer = std::make_shared<Offer>();
  offer->request = std::move(request);
  offer->layer = **std::move(wanted);
  offer->call = std::move(call);
  offer->hold = parts_.layers->Hold();
  AskProvider(std::move(offer));
}

absl::StatusOr<std::optional<LayerRequest>> Snapshotter::WantedLayer(const PrepareRequest& request,
                                                                     PendingPrepare& call) {
  const std::string ref_label = LabelValue(request.labels, kRefLabel);
  if (ref_label.empty()) return std::optional<LayerRequest>();
  const absl::StatusOr<Digest> ref = Digest::Parse(ref_label);

  std::optional<LayerRequest> wanted;
  const auto read = [&](const MetadataReader& reader) -> absl::Status {
    std::optional<SnapshotRow> parent;
    if (!request.parent.empty()) {
      ASSIGN_OR_RETURN(parent, reader.Snapshot(request.snapshotter, request.parent));
    }
    if (request.parent.empty() || parent.has_value()) {
      const std::optional<int64_t> parent_id = parent.has_value() ? std::optional<int64_t>(parent->id) : std::nullopt;
      ASSIGN_OR_RETURN(const std::optional<SnapshotRow> present,
                       reader.CommittedByRef(request.snapshotter, ref_label, parent_id));
      if (present.has_value()) {
        call.GotBy(kGotPresent);
        return LayerPresentError(ref_label);
      }
    }
    RETURN_IF_ERROR(NewRow(reader, SnapshotKind::kActive, request).status());
    if (!ref.ok()) return absl::OkStatus();

    wanted.emplace();
    wanted->snapshotter = request.snapshotter;
    wanted->containerd_namespace = NamespaceOfKey(request.key);
    wanted->key = request.key;
    wanted->ref = *ref;
    wanted->labels = request.labels;
    if (!parent.has_value()) return absl::OkStatus();
    wanted->has_parent = true;
    wanted->parent = request.parent;
    wanted->parent_chain_id = parent->chain_id;
    ASSIGN_OR_RETURN(const std::vector<int64_t> directories, reader.ChainDirectories(parent->id));
    wanted->parent_directories = WithoutRepetitions(directories);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(parts_.metadata->Read(read));
  if (!ref.ok()) {
    NoteDeferred(call, WithReason(ref.status(), FallbackReason::kBadRef));
    LOG(INFO) << "deferring to containerd: " << ref.status().message() << " ref=" << ShownValue(ref_label)
              << " image=" << ShownValue(LabelValue(request.labels, kImageRefLabel));
  }
  return wanted;
}

void Snapshotter::AskProvider(std::shared_ptr<Offer> offer) {
  bool shut_down;
  {
    const MutexLock lock(calls_mutex_);
    shut_down = shut_down_;
    if (!shut_down) calls_.insert(offer->call);
  }
  if (shut_down) return offer->call->Answer(ShuttingDownError());
  if (!offer->call->Wait()) {
    const MutexLock lock(calls_mutex_);
    calls_.erase(offer->call);
    return;
  }
  LayerRequest layer = offer->layer;
  std::shared_ptr<Cancellation> cancellation = offer->call->cancellation();
  parts_.provider->Provide(
      std::move(layer), std::move(cancellation), [this, offer](absl::StatusOr<ProvidedLayer> provided) {
        // Not on the provider's thread, which has layers to fill.
        parts_.quick->Submit([this, offer, provided = std::move(provided)] { OnProvided(offer, provided); });
      });
}

void Snapshotter::OnProvided(const std::shared_ptr<Offer>& offer, const absl::StatusOr<ProvidedLayer>& provided) {
  {
    const MutexLock lock(calls_mutex_);
    calls_.erase(offer->call);
  }
  if (!offer->call->Proceed()) return;
  if (absl::IsCancelled(provided.status())) return offer->call->Answer(provided.status());
  if (!provided.ok()) return Defer(*offer, provided.status());

  Claim claim = Claim::kCommitted;
  const absl::Status status = CommitProvided(*offer, provided->layer, claim);
  if (!status.ok()) return offer->call->Answer(status);
  if (claim == Claim::kCommitted) {
    offer->call->GotBy(provided->strategy);
    return offer->call->Answer(LayerPresentError(offer->layer.ref.ToString()));
  }
  if (offer->attempt == kMaxAttempts) {
    return Defer(*offer, WithReason(absl::UnavailableError("the filled layer was deleted before it could be used"),
                                    FallbackReason::kVanished));
  }
  ++offer->attempt;
  AskProvider(offer);
}

// Claims the layer directory for a committed snapshot, in one transaction with everything that must hold for it.
absl::Status Snapshotter::CommitProvided(const Offer& offer, const LayerRecord& layer, Claim& claim) {
  const PrepareRequest& request = offer.request;
  const std::string ref = offer.layer.ref.ToString();
  return parts_.metadata->Write([&](MetadataWriter& writer) -> absl::Status {
    claim = Claim::kCommitted;
    // A second client may have been here in the meantime, and the parent may be gone.
    ASSIGN_OR_RETURN(SnapshotRow row, NewRow(writer, SnapshotKind::kActive, request));
    ASSIGN_OR_RETURN(const std::optional<SnapshotRow> present,
                     writer.CommittedByRef(request.snapshotter, ref, row.parent_id));
    if (present.has_value()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::optional<LayerRecord> claimed, writer.Layer(layer.id));
    if (!claimed.has_value()) {
      claim = Claim::kLayerVanished;
      return absl::OkStatus();
    }
    row.kind = SnapshotKind::kCommitted;
    row.directory_id = claimed->id;
    row.usage = Usage{claimed->facts.usage_bytes, claimed->facts.usage_inodes};
    row.chain_id = offer.layer.ref;
    Labels labels = request.labels;
    labels[kRemoteLabel] = kRemoteLabelValue;
    for (int attempt = 0;; ++attempt) {
      row.key = CommittedName(ref, request.parent, attempt);
      ASSIGN_OR_RETURN(const std::optional<SnapshotRow> taken, writer.Snapshot(request.snapshotter, row.key));
      if (!taken.has_value()) return writer.InsertSnapshot(row, labels).status();
    }
  });
}

void Snapshotter::Defer(const Offer& offer, const absl::Status& reason) {
  const std::string text = absl::StrCat(
      "deferring to containerd: ", reason.message(), " ref=", offer.layer.ref.ToString(),
      " image=", ShownValue(LabelValue(offer.request.labels, kImageRefLabel)), " key=", ShownValue(offer.request.key));
  LOG_IF(INFO, IsOrdinary(reason)) << text;
  LOG_IF(WARNING, !IsOrdinary(reason)) << text;
  NoteDeferred(*offer.call, reason);
  offer.call->Answer(Create(SnapshotKind::kActive, offer.request));
}

}  // namespace sluice
