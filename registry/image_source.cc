#include "registry/image_source.h"

#include <algorithm>
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

constexpr char kLayout[] = "layout";
constexpr char kStream[] = "stream";
constexpr char kCached[] = "cached";

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

Endpoint OriginOf(const Reference& reference) { return {reference.host, reference.repository}; }

// Its tag, since that is what may move; by its digest it is found without a name.
std::string NameInCache(const Reference& reference, const Descriptor& manifest) {
  Reference name = reference;
  name.digest = std::nullopt;
  if (name.tag.empty()) name.digest = manifest.digest;
  return name.ToString();
}

absl::Status ReadToEnd(ByteReader& reader, const std::function<void(int64_t bytes)>& on_bytes) {
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, reader.Read(absl::MakeSpan(buffer)));
    if (count == 0) return absl::OkStatus();
    on_bytes(static_cast<int64_t>(count));
  }
}

absl::Status Skip(ByteReader& reader, int64_t bytes) {
  std::vector<char> buffer(256 * 1024);
  while (bytes > 0) {
    const size_t wanted = static_cast<size_t>(std::min<int64_t>(bytes, static_cast<int64_t>(buffer.size())));
    ASSIGN_OR_RETURN(const size_t count, reader.Read(absl::MakeSpan(buffer).first(wanted)));
    if (count == 0) return absl::DataLossError("it ends before the place where it was left");
    bytes -= static_cast<int64_t>(count);
  }
  return absl::OkStatus();
}

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
      if (document.named_at.has_value()) image.named_at = document.named_at;
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
    image.named_at = document.named_at;
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

ImageSource::ImageSource(std::vector<std::shared_ptr<const Store>> stores, std::shared_ptr<const RegistryClient> client,
                         ImageCaching caching)
    : stores_(std::move(stores)), client_(std::move(client)), caching_(std::move(caching)) {}

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

absl::StatusOr<OpenedLayer> ImageSource::OpenLayer(const Reference& reference, const Descriptor& blob,
                                                   const Cancellation* cancellation) const {
  absl::Status miss;
  for (const std::shared_ptr<const Store>& store : stores_) {
    absl::StatusOr<std::unique_ptr<ByteReader>> reader = store->OpenBlob(blob.digest, blob.size, {OriginOf(reference)});
    if (reader.ok()) return OpenedLayer{*std::move(reader), {kLayout, store->path()}};
    AddMiss(miss, reader.status());
  }
  if (caching_.cache != nullptr) {
    absl::StatusOr<std::unique_ptr<ByteReader>> reader = caching_.cache->OpenBlob(blob.digest, blob.size);
    if (reader.ok()) return OpenedLayer{*std::move(reader), {kCached, caching_.cache->path()}};
    AddMiss(miss, reader.status());
  }
  if (!AsksRegistries()) return miss.ok() ? absl::NotFoundError("no store and no registry to ask") : miss;
  const auto fetch = [client = client_, reference, blob, cancellation](int64_t offset) {
    return client->OpenBlob(reference.host, reference.repository,
                            {.digest = blob.digest, .size = blob.size, .offset = offset}, cancellation);
  };
  const bool keeps = Keeps(reference);
  absl::StatusOr<std::unique_ptr<ByteReader>> reader =
      keeps ? caching_.cache->OpenOrFetch(blob.digest, blob.size, fetch, cancellation) : fetch(0);
  if (!reader.ok()) return AfterMiss(miss, reader.status());
  return OpenedLayer{*std::move(reader), {keeps ? kCached : kStream, reference.host}};
}

absl::Status ImageSource::AfterMiss(const absl::Status& miss, const absl::Status& registry) const {
  if (stores_.empty() || miss.ok() || absl::IsCancelled(registry)) return registry;
  return absl::Status(registry.code(), absl::StrCat(miss.message(), "; then asked the registry: ", registry.message()));
}

absl::StatusOr<std::unique_ptr<ByteReader>> ImageSource::Fetch(const Reference& reference, const Descriptor& blob,
                                                               int64_t offset, const Cancellation* cancellation) const {
  for (const std::shared_ptr<const Store>& store : stores_) {
    absl::StatusOr<std::unique_ptr<ByteReader>> reader = store->OpenBlob(blob.digest, blob.size, {OriginOf(reference)});
    if (!reader.ok()) continue;
    RETURN_IF_ERROR(Skip(**reader, offset));
    return reader;
  }
  if (!AsksRegistries()) return absl::NotFoundError(absl::StrCat(blob.digest.ToString(), ": no store has it"));
  return client_->OpenBlob(reference.host, reference.repository,
                           {.digest = blob.digest, .size = blob.size, .offset = offset}, cancellation);
}

absl::Status ImageSource::AddToCache(const ResolvedImage& image, const std::function<void(int64_t bytes)>& on_bytes,
                                     const Cancellation* cancellation) const {
  if (caching_.cache == nullptr) return absl::FailedPreconditionError("there is no cache to add to");
  BlobCache& cache = *caching_.cache;
  for (const ResolvedLayer& layer : image.layers) {
    const Descriptor& blob = layer.blob;
    if (cache.OpenBlob(blob.digest, blob.size).ok()) {  // which counts as used
      on_bytes(blob.size);
      continue;
    }
    const auto fetch = [&](int64_t offset) { return Fetch(image.reference, blob, offset, cancellation); };
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteReader> reader,
                     cache.OpenOrFetch(blob.digest, blob.size, fetch, cancellation));
    RETURN_IF_ERROR(ReadToEnd(*reader, on_bytes));
    if (!cache.Contains(blob.digest, blob.size)) {
      return absl::ResourceExhaustedError(absl::StrCat(cache.path(), ": no room for ", blob.digest.ToString()));
    }
  }
  for (const ResolvedIndex& index : image.indexes) {
    RETURN_IF_ERROR(cache.WriteDocument(index.descriptor.digest, index.bytes));
  }
  RETURN_IF_ERROR(cache.WriteDocument(image.config.digest, image.config_bytes));
  RETURN_IF_ERROR(cache.WriteDocument(image.manifest.digest, image.manifest_bytes));
  return cache.NameImage(NameInCache(image.reference, image.manifest), image.manifest);
}

bool ImageSource::DropLayer(const LayerOrigin& origin, const Descriptor& blob) const {
  if (origin.strategy != kCached || caching_.cache == nullptr || origin.source != caching_.cache->path()) return false;
  return caching_.cache->Drop(blob.digest).ok() && AsksRegistries();
}

absl::Status ImageSource::KeepName(const ResolvedImage& image) const {
  if (!Keeps(image.reference) || caching_.offline || image.reference.tag.empty()) return absl::OkStatus();
  for (const ResolvedLayer& layer : image.layers) {
    if (!caching_.cache->Contains(layer.blob.digest, layer.blob.size)) return absl::OkStatus();
  }
  return caching_.cache->NameImage(NameInCache(image.reference, image.manifest), image.manifest);
}

bool ImageSource::Keeps(const Reference& reference) const {
  return caching_.cache != nullptr && caching_.locality.Classify(reference.host) != Locality::kLocal;
}

void ImageSource::Keep(const Reference& reference, const Digest& digest, const std::string& document) const {
  // A full disk is no reason to do without the image.
  if (Keeps(reference)) caching_.cache->WriteDocument(digest, document).IgnoreError();
}

absl::StatusOr<ImageSource::Document> ImageSource::FetchManifest(const Reference& reference,
                                                                 const Cancellation* cancellation) const {
  ASSIGN_OR_RETURN(FetchedManifest fetched, client_->FetchManifest(reference, cancellation));
  Keep(reference, fetched.descriptor.digest, fetched.bytes);
  return Document{std::move(fetched.descriptor), std::move(fetched.bytes), reference.host, std::nullopt};
}

absl::StatusOr<ImageSource::Document> ImageSource::FindTop(const Reference& reference,
                                                           const Cancellation* cancellation) const {
  if (!reference.digest.has_value()) return FindTag(reference, cancellation);
  absl::StatusOr<Document> here = FindHere(reference, *reference.digest, kMaxManifestBytes);
  if (here.ok() || !AsksRegistries()) return here;
  absl::StatusOr<Document> fetched = FetchManifest(reference, cancellation);
  if (!fetched.ok()) return AfterMiss(here.status(), fetched.status());
  return fetched;
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
  if (caching_.offline) {
    absl::StatusOr<Document> cached = FindTagInCache(reference);
    if (cached.ok()) return cached;
    AddMiss(miss, cached.status());
  }
  if (!AsksRegistries()) return miss.ok() ? absl::NotFoundError("no store owns its tags") : miss;
  absl::StatusOr<Document> fetched = FetchManifest(reference, cancellation);
  if (!fetched.ok()) return AfterMiss(miss, fetched.status());
  return fetched;
}

absl::StatusOr<ImageSource::Document> ImageSource::FindTagInCache(const Reference& reference) const {
  if (caching_.cache == nullptr) return absl::NotFoundError("no cache to look into");
  ASSIGN_OR_RETURN(const NamedImage named, caching_.cache->FindImage(reference.ToString()));
  ASSIGN_OR_RETURN(Document document, FindHere(reference, named.manifest.digest, kMaxManifestBytes));
  document.named_at = named.named_at;
  return document;
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
  absl::StatusOr<Document> stored = FindHere(reference, descriptor.digest, kMaxConfigBytes);
  if (stored.ok() || !AsksRegistries()) {
    RETURN_IF_ERROR(stored.status());
    RETURN_IF_ERROR(CheckSize(descriptor, stored->bytes, "config"));
    return std::move(stored->bytes);
  }
  absl::StatusOr<std::string> fetched = client_->FetchBlobDocument(reference.host, reference.repository,
                                                                   descriptor.digest, kMaxConfigBytes, cancellation);
  if (!fetched.ok()) return AfterMiss(stored.status(), fetched.status());
  RETURN_IF_ERROR(CheckSize(descriptor, *fetched, "config"));
  Keep(reference, descriptor.digest, *fetched);
  return fetched;
}

absl::StatusOr<ImageSource::Document> ImageSource::FindHere(const Reference& reference, const Digest& digest,
                                                            int64_t max_bytes) const {
  const auto made = [&digest](std::string bytes, const std::string& found_in) {
    Document document;
    document.descriptor.digest = digest;
    document.descriptor.size = static_cast<int64_t>(bytes.size());
    document.bytes = std::move(bytes);
    document.found_in = found_in;
    return document;
  };
  absl::Status miss;
  for (const std::shared_ptr<const Store>& store : stores_) {
    absl::StatusOr<std::string> bytes = store->ReadDocument(digest, max_bytes, {OriginOf(reference)});
    if (bytes.ok()) return made(*std::move(bytes), store->path());
    AddMiss(miss, bytes.status());
  }
  if (caching_.cache != nullptr) {
    absl::StatusOr<std::string> bytes = caching_.cache->ReadDocument(digest, max_bytes);
    if (bytes.ok()) return made(*std::move(bytes), caching_.cache->path());
    AddMiss(miss, bytes.status());
  }
  return miss.ok() ? absl::NotFoundError("no store to look into") : miss;
}

}  // namespace sluice
