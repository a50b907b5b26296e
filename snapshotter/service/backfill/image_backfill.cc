#include "snapshotter/service/backfill/image_backfill.h"

#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "registry/manifest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);

absl::Time Soon() { return absl::Now() + kCallTimeout; }

absl::StatusOr<std::vector<Descriptor>> ReadLayers(ContentStoreClient& store, const std::string& containerd_namespace,
                                                   const Digest& manifest) {
  ASSIGN_OR_RETURN(const std::string document,
                   store.ReadDocument(containerd_namespace, manifest, kMaxManifestBytes, Soon()));
  auto parsed = ParseManifestOrIndex(document);
  if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat("manifest ", manifest.ToString()));
  if (Manifest* const content = std::get_if<Manifest>(&*parsed)) return std::move(content->layers);
  return absl::InvalidArgumentError(absl::StrCat("manifest ", manifest.ToString(), ": it is an index"));
}

// containerd numbers the layers in their order (images/handlers.go, SetChildrenMappedLabels). What a client has
// labelled otherwise stays.
ContentLabels MissingReferences(const std::vector<Descriptor>& layers, const ContentLabels& labels) {
  std::set<std::string> referred;
  for (const auto& [label, value] : labels) {
    if (absl::StartsWith(label, kContentReferencePrefix)) referred.insert(value);
  }
  ContentLabels missing;
  for (size_t k = 0; k < layers.size(); ++k) {
    const std::string digest = layers[k].digest.ToString();
    if (!referred.insert(digest).second) continue;
    std::string label;
    size_t number = k;
    do {
      label = absl::StrCat(kLayerReferencePrefix, number++);
    } while (labels.contains(label) || missing.contains(label));
    missing.emplace(std::move(label), digest);
  }
  return missing;
}

ContentLabels SourceLabels(const ContentLabels& labels) {
  ContentLabels sources;
  for (const auto& [label, value] : labels) {
    if (absl::StartsWith(label, kDistributionSourcePrefix)) sources.emplace(label, value);
  }
  return sources;
}

// That nobody listens at a guessed port says nothing about where the image is known to be from.
void DropGuesses(std::vector<Endpoint>& endpoints) {
  const auto is_guess = [](const Endpoint& endpoint) { return endpoint.port_is_guess; };
  if (!absl::c_all_of(endpoints, is_guess)) std::erase_if(endpoints, is_guess);
}

// One name for whoever fills: what one left another goes on with, and never both at a time.
std::string IngestRef(const Digest& digest) { return absl::StrCat("sluice-backfill-", digest.ToString()); }

LayerWanted WantedOf(const ImageBlobs& blobs, const Descriptor& blob, int64_t offset) {
  LayerWanted wanted;
  wanted.image = blobs.image.names.front();
  wanted.containerd_namespace = blobs.containerd_namespace;
  wanted.blobs = {{.digest = blob.digest, .size = blob.size}};
  wanted.locality = blobs.origin.locality;
  wanted.endpoints = blobs.origin.endpoints;
  wanted.offset = offset;
  wanted.keep = false;
  return wanted;
}

}  // namespace

// The ways to get one blob, tried one after the other.
class ImageBackfill::BlobSources {
 public:
  BlobSources(const Parts& parts, const ImageBlobs& blobs, const Descriptor& blob, const Cancellation& cancellation)
      : parts_(parts), blobs_(blobs), blob_(blob), cancellation_(cancellation) {}

  // A reader of the first source that was not rejected and opens; borrowed until the next call.
  absl::StatusOr<ByteReader*> Open(int64_t offset) {
    LayerSources::Offers found = parts_.sources->Find(WantedOf(blobs_, blob_, offset), cancellation_);
    for (LayerOffer& offer : found.offers) {
      if (rejected_.contains(offer.place)) continue;
      RETURN_IF_ERROR(cancellation_.Check());
      current_ = std::move(offer);
      absl::StatusOr<std::unique_ptr<ByteReader>> reader = current_->open();
      if (reader.ok()) {
        reader_ = std::make_unique<SourceReader>(*std::move(reader), parts_.before_read, cancellation_);
        return reader_.get();
      }
      if (absl::IsCancelled(reader.status())) return reader.status();
      Reject(reader.status());
    }
    exhausted_ = true;
    if (last_failure_.ok()) last_failure_ = found.rejection;
    return NoSource(found.reason);
  }

  // A write from the last reader ended with `status`. False if no other source would help.
  bool RejectAfter(const absl::Status& status) {
    if (exhausted_ || reader_ == nullptr || cancellation_.cancelled()) return false;
    const absl::Status source_failure =
        reader_->failure().ok() && absl::IsDataLoss(status) ? status : reader_->failure();
    if (source_failure.ok()) return false;
    Reject(source_failure);
    return true;
  }

  // Of the last reader; "" if nothing was read.
  std::string place() const { return current_.has_value() ? current_->place : ""; }

 private:
  // Tells the source's errors from those of who takes the bytes.
  class SourceReader : public ByteReader {
   public:
    SourceReader(std::unique_ptr<ByteReader> reader, const std::function<absl::Status()>& before_read,
                 const Cancellation& cancellation)
        : reader_(std::move(reader)), before_read_(before_read), cancellation_(cancellation) {}

    absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
      RETURN_IF_ERROR(cancellation_.Check());
      if (before_read_ != nullptr) RETURN_IF_ERROR(before_read_());
      absl::StatusOr<size_t> count = reader_->Read(buffer);
      if (!count.ok()) failure_ = count.status();
      return count;
    }

    const absl::Status& failure() const { return failure_; }

   private:
    const std::unique_ptr<ByteReader> reader_;
    const std::function<absl::Status()>& before_read_;
    const Cancellation& cancellation_;
    absl::Status failure_;
  };

  void Reject(const absl::Status& reason) {
    if (parts_.on_rejected != nullptr) parts_.on_rejected(*current_, reason);
    rejected_.insert(current_->place);
    // Whoever may have it some other time says more than those who don't.
    const bool may_have_it = !absl::IsNotFound(reason) && !absl::IsDataLoss(reason);
    if (may_have_it && next_time_.ok()) next_time_ = reason;
    last_failure_ = reason;
    reader_.reset();
    current_.reset();
  }

  absl::Status NoSource(const std::string& reason) const {
    if (!next_time_.ok()) return next_time_;
    return absl::NotFoundError(absl::StrCat(reason, last_failure_.ok() ? "" : ": ", last_failure_.message()));
  }

  const Parts& parts_;
  const ImageBlobs& blobs_;
  const Descriptor& blob_;
  const Cancellation& cancellation_;
  std::set<std::string> rejected_;  // places
  std::optional<LayerOffer> current_;
  std::unique_ptr<SourceReader> reader_;
  bool exhausted_ = false;
  absl::Status next_time_;
  absl::Status last_failure_;
};

absl::StatusOr<ImageBlobs> ImageBackfill::Inspect(const UnpackedImages& images, const UnpackedImage& image) {
  const std::string& containerd_namespace = images.containerd_namespace;
  ASSIGN_OR_RETURN(const ContentInfo manifest, parts_.store->Stat(containerd_namespace, image.manifest, Soon()));
  ASSIGN_OR_RETURN(const std::vector<Descriptor> layers,
                   ReadLayers(*parts_.store, containerd_namespace, image.manifest));
  ImageBlobs blobs;
  blobs.containerd_namespace = containerd_namespace;
  blobs.image = image;
  blobs.references = MissingReferences(layers, manifest.labels);
  blobs.sources = SourceLabels(manifest.labels);
  std::set<Digest> seen;
  for (const Descriptor& layer : layers) {
    if (!seen.insert(layer.digest).second) continue;
    const absl::Status present = parts_.store->Stat(containerd_namespace, layer.digest, Soon()).status();
    if (absl::IsNotFound(present)) {
      blobs.missing.push_back(layer);
    } else {
      RETURN_IF_ERROR(present);
    }
  }
  std::vector<Digest> targets = {image.manifest};
  targets.insert(targets.end(), image.indexes.begin(), image.indexes.end());
  blobs.origin = parts_.origins->Find(targets, manifest.labels, images.records, LayerHints());
  DropGuesses(blobs.origin.endpoints);
  return blobs;
}

absl::StatusOr<std::string> ImageBackfill::Locate(const ImageBlobs& blobs, const Descriptor& blob,
                                                  const Cancellation& cancellation) {
  BlobSources sources(parts_, blobs, blob, cancellation);
  RETURN_IF_ERROR(sources.Open(0).status());
  return sources.place();
}

absl::Status ImageBackfill::Fill(const ImageBlobs& blobs, const Cancellation& cancellation,
                                 const std::function<void(const FilledBlob&)>& filled) {
  ContainerdSession leased(parts_.containerd, blobs.containerd_namespace, cancellation);
  ASSIGN_OR_RETURN(Lease lease,
                   Lease::Replace(leased, absl::StrCat("sluice-backfill-", blobs.image.manifest.ToString())));
  RETURN_IF_ERROR(KeepContent(leased, blobs.image.manifest));
  // Without the lease, which would take what is half done with it when it ends.
  ContainerdSession session(parts_.containerd, blobs.containerd_namespace, cancellation);
  ContentWriter writer(session);
  const absl::Status labelled = writer.SetLabels(blobs.image.manifest, blobs.references);
  if (absl::IsNotFound(labelled)) return absl::AbortedError(labelled.message());
  RETURN_IF_ERROR(labelled);
  for (const Descriptor& blob : blobs.missing) {
    BlobSources sources(parts_, blobs, blob, cancellation);
    absl::Status written;
    do {
      written = writer.Resume(IngestRef(blob.digest), blob.digest, blob.size, blobs.sources,
                              [&sources](int64_t offset) { return sources.Open(offset); });
    } while (!written.ok() && sources.RejectAfter(written));
    RETURN_IF_ERROR(cancellation.Check());
    RETURN_IF_ERROR(written);
    if (filled != nullptr) filled({blob, sources.place()});
  }
  return lease.Release();
}

}  // namespace sluice
