#include "snapshotter/fill/applier.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "glog/logging.h"
#include "registry/descriptor.h"
#include "registry/image_config.h"
#include "snapshotter/labels.h"
#include "snapshotter/snapshot_errors.h"
#include "unpack/overlay_unpacker.h"

namespace sluice {
namespace {

// Layers whose registry must not pass them on (image-spec layer.md, Non-Distributable Layers): a resolver has no
// business with them, but what the content store has is a layer like any other.
constexpr std::array<absl::string_view, 5> kNonDistributableTypes = {
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};

// CRI and nerdctl give the keys for encrypted layers with every layer (containerd/imgcrypt payload.go). They mean
// nothing to one that is not encrypted, and those have media types of their own.
constexpr char kDecryptionProcessors[] = "io.containerd.ocicrypt.";

constexpr char kDigestAlgorithm[] = "sha256:";

bool IsLayerType(const std::string& media_type) {
  Descriptor descriptor;
  descriptor.media_type = media_type;
  return IsTarLayer(descriptor) || absl::c_linear_search(kNonDistributableTypes, media_type);
}

// What unpack/ leaves to others, the next differ does on a mount.
absl::Status LeftToNextDiffer(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) ? absl::UnimplementedError(status.message()) : status;
}

// `how`: "applied" or "adopted".
void LogApplied(absl::string_view how, const Digest& digest, int64_t bytes, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  LOG(INFO) << absl::StreamFormat("%s digest=%s bytes=%d seconds=%.3f MB/s=%.1f", how, digest.ToString(), bytes,
                                  seconds, static_cast<double>(bytes) / 1e6 / std::max(seconds, 1e-6));
}

// Not what is left to others, nor what nobody waits for.
bool IsFailure(const absl::Status& status) {
  return !status.ok() && !absl::IsUnimplemented(status) && !absl::IsCancelled(status);
}

AppliedLayer AppliedOf(const LayerRecord& layer) { return {layer.facts.diff_id, layer.facts.tar_bytes.value_or(0)}; }

// The chainID of a layer in this snapshot, if that of its parent is proven.
std::optional<Digest> ChainOver(const ActiveSnapshot& snapshot, const Digest& diff_id) {
  if (!snapshot.has_parent) return diff_id;
  if (!snapshot.parent_chain_id.has_value()) return std::nullopt;
  return ChainId(*snapshot.parent_chain_id, diff_id);
}

}  // namespace

struct Applier::Call {
  ApplyRequest request;
  Digest digest;
  std::shared_ptr<Cancellation> cancellation;
  Done done;
  ActiveSnapshot snapshot;
};

Applier::Applier(ActiveSnapshots& snapshots, LayerStore& layers, ContentStore& content, WorkerPool& quick,
                 const Options& options)
    : snapshots_(snapshots),
      layers_(layers),
      content_(content),
      quick_(quick),
      options_(options),
      workers_(WorkerCount(options.workers)) {}

Applier::~Applier() { Shutdown(); }

absl::Status Applier::CheckSupported(const ApplyRequest& request) const {
  if (!snapshots_.MayOwn(request.mounts)) {
    return absl::UnimplementedError("apply: the mounts are not of this snapshotter");
  }
  if (!IsLayerType(request.media_type)) {
    return absl::UnimplementedError(
        absl::StrCat("apply: media type ", ShownValue(request.media_type), ": is not a tar layer"));
  }
  if (!absl::StartsWith(request.digest, kDigestAlgorithm)) {
    return absl::UnimplementedError(absl::StrCat("apply: digest ", ShownValue(request.digest), ": is not a sha256"));
  }
  for (const std::string& processor : request.processors) {
    if (absl::StartsWith(processor, kDecryptionProcessors)) continue;
    return absl::UnimplementedError(absl::StrCat("apply: stream processor ", ShownValue(processor), ": is not known"));
  }
  return absl::OkStatus();
}

void Applier::Apply(ApplyRequest request, std::shared_ptr<Cancellation> cancellation, Done done) {
  if (const absl::Status supported = CheckSupported(request); !supported.ok()) return done(supported);
  const absl::StatusOr<Digest> digest = Digest::Parse(request.digest);
  if (!digest.ok()) return done(Annotate(digest.status(), "apply"));
  if (request.size < 0) {
    return done(absl::InvalidArgumentError(
        absl::StrCat("apply: layer ", digest->Short(), ": has a size of ", request.size, " bytes")));
  }
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->digest = *digest;
  call->cancellation = std::move(cancellation);
  call->done = std::move(done);
  bool shut_down;
  {
    const MutexLock lock(mutex_);
    shut_down = shut_down_;
    if (!shut_down) calls_.insert(call);
  }
  if (shut_down) return call->done(ShuttingDownError());
  quick_.Submit([this, call] { Begin(call); });
}

// What is not ours is told before a worker is free.
void Applier::Begin(const std::shared_ptr<Call>& call) {
  absl::StatusOr<ActiveSnapshot> snapshot = snapshots_.Find(call->request.mounts);
  if (!snapshot.ok()) return End(call, snapshot.status());
  call->snapshot = *std::move(snapshot);
  if (call->request.containerd_namespace.empty()) {
    call->request.containerd_namespace = NamespaceOfKey(call->snapshot.key);
  }
  workers_.Submit([this, call] { Run(call); });
}

// A door for exceptions: std::bad_alloc in one layer must not end the daemon.
void Applier::Run(const std::shared_ptr<Call>& call) {
  absl::StatusOr<AppliedLayer> result;
  try {
    result = GiveLayer(*call);
  } catch (const std::exception& e) {
    result = absl::InternalError(absl::StrCat("apply: layer ", call->digest.Short(), ": ", e.what()));
  }
  End(call, std::move(result));
}

void Applier::End(const std::shared_ptr<Call>& call, absl::StatusOr<AppliedLayer> result) {
  {
    const MutexLock lock(mutex_);
    calls_.erase(call);
    if (shut_down_ && absl::IsCancelled(result.status())) result = ShuttingDownError();
  }
  if (IsFailure(result.status())) LOG(WARNING) << "not applied: " << result.status().message();
  call->done(std::move(result));
}

absl::StatusOr<AppliedLayer> Applier::GiveLayer(const Call& call) {
  RETURN_IF_ERROR(call.cancellation->Check());
  ASSIGN_OR_RETURN(const bool empty, snapshots_.IsEmpty(call.snapshot));
  if (call.snapshot.adopted.has_value() && empty && call.snapshot.adopted->facts.blob_digest == call.digest) {
    return AppliedOf(*call.snapshot.adopted);  // the caller had no answer, and asks again
  }
  // containerd would unpack over what is there. A differ that works on a mount does that; we never need it.
  if (!empty || call.snapshot.adopted.has_value()) {
    return absl::UnimplementedError(absl::StrCat("apply: snapshot ", call.snapshot.key, ": is not empty"));
  }
  ASSIGN_OR_RETURN(const std::optional<AppliedLayer> adopted, Adopt(call));
  return adopted.has_value() ? *adopted : Fill(call);
}

// A blob that a fill has read and hashed always gives the same diffID: it need not be read again. What a fill made of
// it is right here if it is self-contained, or was made for this very chain.
absl::StatusOr<std::optional<AppliedLayer>> Applier::Adopt(const Call& call) {
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(const std::vector<LayerRecord> layers, layers_.FindByBlob(call.digest));
  for (const LayerRecord& layer : layers) {
    const LayerFacts& facts = layer.facts;
    if (!facts.tar_bytes.has_value()) continue;
    if (call.request.size > 0 && call.request.size != facts.blob_bytes) continue;  // reading it will tell
    const std::optional<Digest> chain_id = ChainOver(call.snapshot, facts.diff_id);
    if (facts.chain_id.has_value() && facts.chain_id != chain_id) continue;
    if (MustSync(call)) RETURN_IF_ERROR(layers_.SyncPublished());
    ASSIGN_OR_RETURN(const bool adopted, snapshots_.Adopt(call.snapshot, layer, chain_id));
    if (!adopted) continue;
    LogApplied("adopted", facts.blob_digest, facts.blob_bytes, absl::Now() - start);
    return AppliedOf(layer);
  }
  return std::nullopt;
}

absl::StatusOr<AppliedLayer> Applier::Fill(const Call& call) {
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(StagedDirectory staged, snapshots_.Stage());
  ASSIGN_OR_RETURN(const UnpackedLayer layer, Unpack(call, staged.fs_fd()));
  if (MustSync(call) && syncfs(staged.fs_fd()) != 0) return ErrnoStatus(errno, "syncfs", call.snapshot.key);
  RETURN_IF_ERROR(call.cancellation->Check());
  RETURN_IF_ERROR(snapshots_.Fill(call.snapshot, std::move(staged)));
  LogApplied("applied", layer.blob_digest, layer.blob_bytes, absl::Now() - start);
  return AppliedLayer{layer.diff_id, layer.tar_bytes};
}

bool Applier::MustSync(const Call& call) const { return call.request.sync_fs || options_.always_sync; }

absl::StatusOr<UnpackedLayer> Applier::Unpack(const Call& call, int directory_fd) {
  UnpackOptions options;
  options.limits = options_.limits;
  options.cancellation = call.cancellation.get();
  LayerSource source;
  source.name = absl::StrCat("layer ", call.digest.Short());
  source.open = [&] {
    return content_.OpenBlob(call.request.containerd_namespace, call.digest, call.cancellation.get());
  };
  source.expected.blob_digest = call.digest;
  if (call.request.size > 0) source.expected.blob_bytes = call.request.size;

  OverlayUnpacker unpacker(directory_fd, options);
  RETURN_IF_ERROR(LeftToNextDiffer(unpacker.Stream(source)));
  std::vector<UniqueFd> below;
  if (!unpacker.self_contained()) {
    ASSIGN_OR_RETURN(below, snapshots_.OpenBelow(call.snapshot));
  }
  std::vector<int> fds;
  fds.reserve(below.size());
  for (const UniqueFd& fd : below) fds.push_back(fd.get());
  absl::StatusOr<UnpackedLayer> layer = unpacker.Finish(fds);
  if (!layer.ok()) return LeftToNextDiffer(layer.status());
  return layer;
}

void Applier::Shutdown() {
  const MutexLock lock(mutex_);
  shut_down_ = true;
  for (const std::shared_ptr<Call>& call : calls_) call->cancellation->Cancel();
}

}  // namespace sluice
