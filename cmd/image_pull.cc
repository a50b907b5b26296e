#include "cmd/image_pull.h"

#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "registry/image_config.h"
#include "registry/manifest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fill/image_origin.h"
#include "snapshotter/service/containerd/content_writer.h"
#include "snapshotter/service/containerd/image_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "snapshotter/service/containerd/snapshot_client.h"

namespace sluice {
namespace {

using Labels = std::map<std::string, std::string>;

// containerd's own limit for key and value of a label together (labels/validate.go).
constexpr size_t kMaxLabelBytes = 4096;
constexpr int kPrepareAttempts = 3;

// Where a blob came from, for whoever wants to push or mount it later. containerd leaves the port out of the key.
Labels SourceLabel(const Reference& reference) {
  return {{absl::StrCat(kDistributionSourcePrefix, HostWithoutPort(reference.host)), reference.repository}};
}

const Descriptor& TargetOf(const ResolvedImage& image) {
  return image.indexes.empty() ? image.manifest : image.indexes.front().descriptor;
}

// What keeps the manifests of an index alive as long as it is. Most of them are not here, which is no harm.
absl::StatusOr<Labels> IndexLabels(const ResolvedImage& image, const ResolvedIndex& index) {
  auto parsed = ParseManifestOrIndex(index.bytes);
  if (!parsed.ok()) return parsed.status();
  Labels labels = SourceLabel(image.reference);
  if (const Index* content = std::get_if<Index>(&*parsed)) {
    for (size_t i = 0; i < content->manifests.size(); ++i) {
      labels[absl::StrCat(kManifestReferencePrefix, i)] = content->manifests[i].digest.ToString();
    }
  }
  return labels;
}

// What keeps config and layers alive as long as the manifest is, and what tells the snapshotter about them.
Labels ManifestLabels(const ResolvedImage& image) {
  Labels labels = SourceLabel(image.reference);
  labels[kConfigReferenceLabel] = image.config.digest.ToString();
  for (size_t k = 0; k < image.layers.size(); ++k) {
    labels[absl::StrCat(kLayerReferencePrefix, k)] = image.layers[k].blob.digest.ToString();
  }
  return labels;
}

// This layer and those above it, as many as fit (containerd pkg/snapshotters/annotations.go).
std::string LayersFrom(const ResolvedImage& image, size_t k, size_t key_bytes) {
  std::string list;
  for (; k < image.layers.size(); ++k) {
    const std::string item = absl::StrCat(list.empty() ? "" : ",", image.layers[k].blob.digest.ToString());
    if (key_bytes + list.size() + item.size() > kMaxLabelBytes) break;
    list += item;
  }
  return list;
}

Labels LayerLabels(const ResolvedImage& image, size_t k, const std::string& chain_id) {
  return {{kRefLabel, chain_id},
          {kImageRefLabel, image.reference.ToString()},
          {kLayerDigestLabel, image.layers[k].blob.digest.ToString()},
          {kManifestDigestLabel, image.manifest.digest.ToString()},
          {kImageLayersLabel, LayersFrom(image, k, sizeof(kImageLayersLabel) - 1)}};
}

// "extract-<nanoseconds>-<random> <chainID>", as containerd's unpacker names it.
std::string ExtractKey(const std::string& chain_id) {
  absl::BitGen random;
  return absl::StrFormat("extract-%d-%04x %s", absl::ToUnixNanos(absl::Now()) % 1'000'000'000,
                         absl::Uniform<uint16_t>(random), chain_id);
}

// Removes an extract snapshot that was not committed.
class ExtractSnapshot {
 public:
  ExtractSnapshot(SnapshotClient& snapshots, std::string key) : snapshots_(snapshots), key_(std::move(key)) {}
  // Nobody is left to hear of an error; the lease ends, and garbage collection takes what is left.
  ~ExtractSnapshot() {
    if (!key_.empty()) snapshots_.Remove(key_).IgnoreError();
  }
  ExtractSnapshot(const ExtractSnapshot&) = delete;
  ExtractSnapshot& operator=(const ExtractSnapshot&) = delete;

  const std::string& key() const { return key_; }
  void Keep() { key_.clear(); }

 private:
  SnapshotClient& snapshots_;
  std::string key_;
};

class ImagePull {
 public:
  ImagePull(ContainerdSession& session, const ImageSource& source, const ResolvedImage& image,
            const ImagePullOptions& options)
      : session_(session),
        source_(source),
        image_(image),
        snapshotter_(options.snapshotter),
        content_(session),
        snapshots_(session, options.snapshotter) {}

  // The snapshotter looks for manifest and config when it is asked for the first layer.
  absl::Status WriteDocuments() {
    for (const ResolvedIndex& index : image_.indexes) {
      ASSIGN_OR_RETURN(const Labels labels, IndexLabels(image_, index));
      RETURN_IF_ERROR(content_.WriteDocument(index.descriptor.digest, index.bytes, labels));
    }
    RETURN_IF_ERROR(content_.WriteDocument(image_.manifest.digest, image_.manifest_bytes, ManifestLabels(image_)));
    return content_.WriteDocument(image_.config.digest, image_.config_bytes, SourceLabel(image_.reference));
  }

  // All but the seconds.
  absl::StatusOr<PulledLayer> PullLayer(size_t k, const std::string& parent, const std::string& chain_id) {
    ASSIGN_OR_RETURN(const bool present, snapshots_.Exists(chain_id));
    if (present) {
      RETURN_IF_ERROR(KeepSnapshot(session_, snapshotter_, chain_id));
      return PulledLayer{.outcome = LayerOutcome::kPresent};
    }
    const Labels labels = LayerLabels(image_, k, chain_id);
    for (int attempt = 1;; ++attempt) {
      const std::string key = ExtractKey(chain_id);
      absl::StatusOr<SnapshotClient::Mounts> mounts = snapshots_.Prepare(key, parent, labels);
      if (mounts.ok()) {
        PulledLayer unpacked{.outcome = LayerOutcome::kUnpacked};
        ASSIGN_OR_RETURN(unpacked.source, UnpackLayer(k, key, chain_id, labels, *mounts));
        return unpacked;
      }
      if (!absl::IsAlreadyExists(mounts.status())) return mounts.status();
      ASSIGN_OR_RETURN(const bool provided, snapshots_.Exists(chain_id));
      if (provided) return PulledLayer{.outcome = LayerOutcome::kProvided};
      // It was there and was removed before we looked.
      if (attempt == kPrepareAttempts) return mounts.status();
    }
  }

  absl::Status NameImage(const std::string& top_chain_id) {
    if (!top_chain_id.empty()) {
      const std::string label = absl::StrCat(kSnapshotReferencePrefix, snapshotter_);
      RETURN_IF_ERROR(content_.SetLabels(image_.config.digest, {{label, top_chain_id}}));
    }
    return PutImage(session_, image_.reference.ToString(), TargetOf(image_));
  }

 private:
  // Returns who gave the blob.
  absl::StatusOr<std::string> UnpackLayer(size_t k, const std::string& key, const std::string& chain_id,
                                          const Labels& labels, const SnapshotClient::Mounts& mounts) {
    ExtractSnapshot extract(snapshots_, key);
    const ResolvedLayer& layer = image_.layers[k];
    ASSIGN_OR_RETURN(const OpenedLayer opened,
                     source_.OpenLayer(image_.reference, layer.blob, &session_.cancellation()));
    RETURN_IF_ERROR(content_.Write(layer.blob.digest, layer.blob.size, SourceLabel(image_.reference), *opened.reader));
    ASSIGN_OR_RETURN(const Digest diff_id, snapshots_.Apply(layer.blob, mounts));
    if (diff_id != layer.diff_id) {
      return absl::DataLossError(absl::StrCat("layer ", layer.blob.digest.ToString(), " unpacks to diffID ",
                                              diff_id.ToString(), ", the image config says ",
                                              layer.diff_id.ToString()));
    }
    const absl::Status committed = snapshots_.Commit(chain_id, extract.key(), labels);
    if (absl::IsAlreadyExists(committed)) return opened.origin.source;  // somebody else was faster
    RETURN_IF_ERROR(committed);
    extract.Keep();
    RETURN_IF_ERROR(content_.SetLabels(layer.blob.digest, {{kUncompressedLabel, diff_id.ToString()}}));
    return opened.origin.source;
  }

  ContainerdSession& session_;
  const ImageSource& source_;
  const ResolvedImage& image_;
  const std::string snapshotter_;
  ContentWriter content_;
  SnapshotClient snapshots_;
};

}  // namespace

absl::Status PullImage(const std::shared_ptr<grpc::Channel>& containerd, const ImageSource& source,
                       const ResolvedImage& image, const ImagePullOptions& options, const Cancellation& cancellation,
                       const std::function<void(size_t, const PulledLayer&)>& on_layer) {
  ContainerdSession session(containerd, options.containerd_namespace, cancellation);
  ASSIGN_OR_RETURN(Lease lease, Lease::Take(session));
  ImagePull pull(session, source, image, options);
  RETURN_IF_ERROR(pull.WriteDocuments());

  const std::vector<Digest> chain_ids = ChainIds(image.image.diff_ids);
  std::string parent;
  for (size_t k = 0; k < image.layers.size(); ++k) {
    const absl::Time start = absl::Now();
    const std::string chain_id = chain_ids[k].ToString();
    ASSIGN_OR_RETURN(PulledLayer layer, pull.PullLayer(k, parent, chain_id));
    layer.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    on_layer(k, layer);
    parent = chain_id;
  }
  RETURN_IF_ERROR(pull.NameImage(parent));
  return lease.Release();
}

}  // namespace sluice
