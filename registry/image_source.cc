#include "registry/image_source.h"

#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/endpoint.h"
#include "registry/manifest.h"

namespace sluice {
namespace {

// Bounds on indexes within indexes, which the spec does not bound.
constexpr int kMaxDepth = 4;
constexpr int kMaxDocuments = 32;

absl::Status CheckSize(const Descriptor& descriptor, const std::string& bytes, absl::string_view what) {
  if (descriptor.size == static_cast<int64_t>(bytes.size())) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " ", descriptor.digest.ToString(), ": ", bytes.size(),
                                                 " bytes, but its descriptor says ", descriptor.size));
}

// Adds what one more store said to what those before it did. A corrupt file says more than an absent one.
void AddMiss(absl::Status& misses, const absl::Status& miss) {
  if (misses.ok()) {
    misses = miss;
    return;
  }
  const absl::StatusCode code = absl::IsNotFound(misses) ? miss.code() : misses.code();
  misses = absl::Status(code, absl::StrCat(misses.message(), "; ", miss.message()));
}

// The error of a registry that was asked because the stores had missed.
absl::Status AfterMiss(const absl::Status& miss, const absl::Status& registry) {
  if (miss.ok() || absl::IsCancelled(registry)) return registry;
  return absl::Status(registry.code(), absl::StrCat(miss.message(), "; then asked the registry: ", registry.message()));
}

Endpoint OriginOf(const Reference& reference) { return {reference.host, reference.repository}; }

bool RunsOn(const Platform& wanted, const Platform& image) {
  // Very old images do not say what they are for.
  return (image.os.empty() && image.architecture.empty()) || PlatformScore(wanted, image) > 0;
}

}  // namespace

// The way from a top document down to the one manifest.
class ImageSource::Resolution {
 public:
  Resolution(const ImageSource& source, const Reference& reference, std::optional<Platform> platform,
             const Cancellation* cancellation)
      : source_(source),
        reference_(reference),
        wanted_(platform.has_value() ? *platform : HostPlatform()),
        strict_(platform.has_value()),
        cancellation_(cancellation) {}

  absl::StatusOr<ResolvedImage> Run() {
    ASSIGN_OR_RETURN(Document top, source_.FindTop(reference_, cancellation_));
    return Enter(std::move(top), strict_, 0);
  }

 private:
  // `check_platform`: nothing on the way has said what this document is for.
  absl::StatusOr<ResolvedImage> Enter(Document document, bool check_platform, int depth) {
    if (depth > kMaxDepth) return absl::InvalidArgumentError(absl::StrCat("indexes nested deeper than ", kMaxDepth));
    absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(document.bytes);
    if (!parsed.ok()) return Annotate(parsed.status(), document.descriptor.digest.ToString());
    if (std::holds_alternative<Index>(*parsed)) {
      const Index& index = std::get<Index>(*parsed);
      ASSIGN_OR_RETURN(ResolvedImage image, EnterIndex(index, depth));
      document.descriptor.media_type = index.media_type;
      image.indexes.insert(image.indexes.begin(), {std::move(document.descriptor), std::move(document.bytes)});
      return image;
    }
    return Assemble(std::move(document), std::get<Manifest>(*std::move(parsed)), check_platform);
  }

  absl::StatusOr<ResolvedImage> EnterIndex(const Index& index, int depth) {
    for (const Descriptor& candidate : RankByPlatform(index, wanted_)) {
      if (++documents_ > kMaxDocuments) {
        return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxDocuments, " manifests to choose from"));
      }
      const bool tells = candidate.platform.has_value() && !candidate.platform->architecture.empty();
      ASSIGN_OR_RETURN(Document document, source_.FindDocument(reference_, candidate, cancellation_));
      absl::StatusOr<ResolvedImage> image = Enter(std::move(document), !tells, depth + 1);
      // An entry that did not say so may turn out to be for another platform.
      if (image.ok() || tells || !wrong_platform_) return image;
      wrong_platform_ = false;
    }
    wrong_platform_ = true;
    return NoSuchPlatform(index, wanted_);
  }

  absl::StatusOr<ResolvedImage> Assemble(Document document, Manifest manifest, bool check_platform) {
    ResolvedImage image;
    image.reference = reference_;
    image.config = std::move(manifest.config);
    ASSIGN_OR_RETURN(image.config_bytes, source_.FindConfig(reference_, image.config, cancellation_));
    ASSIGN_OR_RETURN(image.image, ParseImageConfig(image.config_bytes));
    if (check_platform && !RunsOn(wanted_, image.image.platform)) {
      wrong_platform_ = true;
      return absl::NotFoundError(
          absl::StrCat("no image for platform ", wanted_.ToString(), ": it is for ", image.image.platform.ToString()));
    }
    const std::vector<Digest>& diff_ids = image.image.diff_ids;
    if (manifest.layers.size() != diff_ids.size()) {
      return absl::InvalidArgumentError(absl::StrCat("manifest ", document.descriptor.digest.ToString(), " has ",
                                                     manifest.layers.size(), " layers, its config ", diff_ids.size(),
                                                     " diff_ids"));
    }
    image.layers.reserve(diff_ids.size());
    for (size_t i = 0; i < diff_ids.size(); ++i) {
      image.layers.push_back({std::move(manifest.layers[i]), diff_ids[i]});
    }
    image.manifest = std::move(document.descriptor);
    image.manifest.media_type = std::move(manifest.media_type);
    image.manifest_bytes = std::move(document.bytes);
    image.found_in = std::move(document.found_in);
    return image;
  }

  const ImageSource& source_;
  const Reference& reference_;
  const Platform wanted_;
  const bool strict_;
  const Cancellation* const cancellation_;
  int documents_ = 0;
  bool wrong_platform_ = false;  // why the last Enter() failed
};

ImageSource::ImageSource(std::vector<std::shared_ptr<const Store>> stores, std::shared_ptr<const RegistryClient> client)
    : stores_(std::move(stores)), client_(std::move(client)) {}

absl::StatusOr<ResolvedImage> ImageSource::Resolve(const Reference& reference, const std::optional<Platform>& platform,
                                                   const Cancellation* cancellation) const {
  absl::StatusOr<ResolvedImage> image = Resolution(*this, reference, platform, cancellation).Run();
  if (!image.ok()) return Annotate(image.status(), reference.ToString());
  return image;
}

std::string ImageSource::PlaceOf(const Reference& reference, const Descriptor& blob) const {
  const Endpoint origin = OriginOf(reference);
  for (const std::shared_ptr<const Store>& store : stores_) {
    if (store->OpenBlob(blob.digest, blob.size, {origin}).ok()) return store->BlobPath(blob.digest, {origin});
  }
  return blob.digest.Short();
}

absl::StatusOr<std::unique_ptr<ByteReader>> ImageSource::OpenLayer(const Reference& reference, const Descriptor& blob,
                                                                   const Cancellation* cancellation) const {
  absl::Status miss;
  for (const std::shared_ptr<const Store>& store : stores_) {
    absl::StatusOr<std::unique_ptr<ByteReader>> reader = store->OpenBlob(blob.digest, blob.size, {OriginOf(reference)});
    if (reader.ok()) return reader;
    AddMiss(miss, reader.status());
  }
  if (client_ == nullptr) return miss.ok() ? absl::NotFoundError("no store and no registry to ask") : miss;
  absl::StatusOr<std::unique_ptr<ByteReader>> reader =
      client_->OpenBlob(reference.host, reference.repository, {.digest = blob.digest, .size = blob.size}, cancellation);
  if (!reader.ok()) return AfterMiss(miss, reader.status());
  return reader;
}

absl::StatusOr<ImageSource::Document> ImageSource::FindTop(const Reference& reference,
                                                           const Cancellation* cancellation) const {
  if (!reference.digest.has_value()) return FindTag(reference, cancellation);
  absl::StatusOr<Document> stored = ReadFromStores(reference, *reference.digest, kMaxManifestBytes);
  if (stored.ok() || client_ == nullptr) return stored;
  absl::StatusOr<FetchedManifest> fetched = client_->FetchManifest(reference, cancellation);
  if (!fetched.ok()) return AfterMiss(stored.status(), fetched.status());
  return Document{std::move(fetched->descriptor), std::move(fetched->bytes), reference.host};
}

absl::StatusOr<ImageSource::Document> ImageSource::FindTag(const Reference& reference,
                                                           const Cancellation* cancellation) const {
  absl::Status miss;
  for (const std::shared_ptr<const Store>& store : stores_) {
    if (!store->OwnsTagsOf(reference.host)) continue;
    absl::StatusOr<Descriptor> descriptor = store->Resolve(reference);
    if (descriptor.ok()) {
      ASSIGN_OR_RETURN(Document document, FindDocument(reference, *descriptor, cancellation));
      document.found_in = store->path();
      return document;
    }
    AddMiss(miss, descriptor.status());
  }
  if (client_ == nullptr) return miss.ok() ? absl::NotFoundError("no store owns its tags") : miss;
  absl::StatusOr<FetchedManifest> fetched = client_->FetchManifest(reference, cancellation);
  if (!fetched.ok()) return AfterMiss(miss, fetched.status());
  return Document{std::move(fetched->descriptor), std::move(fetched->bytes), reference.host};
}

absl::StatusOr<ImageSource::Document> ImageSource::FindDocument(const Reference& reference,
                                                                const Descriptor& descriptor,
                                                                const Cancellation* cancellation) const {
  Reference by_digest = reference;
  by_digest.digest = descriptor.digest;
  ASSIGN_OR_RETURN(Document document, FindTop(by_digest, cancellation));
  RETURN_IF_ERROR(CheckSize(descriptor, document.bytes, "manifest"));
  document.descriptor = descriptor;
  return document;
}

absl::StatusOr<std::string> ImageSource::FindConfig(const Reference& reference, const Descriptor& descriptor,
                                                    const Cancellation* cancellation) const {
  if (descriptor.size > kMaxConfigBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("config ", descriptor.digest.ToString(), ": larger than ", kMaxConfigBytes, " bytes"));
  }
  absl::StatusOr<Document> stored = ReadFromStores(reference, descriptor.digest, kMaxConfigBytes);
  if (stored.ok() || client_ == nullptr) {
    RETURN_IF_ERROR(stored.status());
    RETURN_IF_ERROR(CheckSize(descriptor, stored->bytes, "config"));
    return std::move(stored->bytes);
  }
  absl::StatusOr<std::string> fetched = client_->FetchBlobDocument(reference.host, reference.repository,
                                                                   descriptor.digest, kMaxConfigBytes, cancellation);
  if (!fetched.ok()) return AfterMiss(stored.status(), fetched.status());
  RETURN_IF_ERROR(CheckSize(descriptor, *fetched, "config"));
  return fetched;
}

absl::StatusOr<ImageSource::Document> ImageSource::ReadFromStores(const Reference& reference, const Digest& digest,
                                                                  int64_t max_bytes) const {
  absl::Status miss;
  for (const std::shared_ptr<const Store>& store : stores_) {
    absl::StatusOr<std::string> bytes = store->ReadDocument(digest, max_bytes, {OriginOf(reference)});
    if (bytes.ok()) {
      Document document;
      document.descriptor.digest = digest;
      document.descriptor.size = static_cast<int64_t>(bytes->size());
      document.bytes = *std::move(bytes);
      document.found_in = store->path();
      return document;
    }
    AddMiss(miss, bytes.status());
  }
  return miss.ok() ? absl::NotFoundError("no store to look into") : miss;
}

}  // namespace sluice
