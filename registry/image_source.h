// From a reference to everything that is known before the first layer is read: manifest, config, layers. And from a
// layer to its bytes.
//
// Who is asked (DESIGN §6, "A tag belongs to whoever owns it"): a tag, the first store that owns the tags of its host,
// else its registry. A digest, every store in their order, then the blob cache, else the registry: content is verified,
// so it does not matter who has it. What comes from a remote registry is kept in the cache; a local one is near enough.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "registry/cache/blob_cache.h"
#include "registry/client/registry_client.h"
#include "registry/descriptor.h"
#include "registry/image_config.h"
#include "registry/locality.h"
#include "registry/platform.h"
#include "registry/reference.h"
#include "registry/store/store.h"

namespace sluice {

struct ResolvedLayer {
  Descriptor blob;
  Digest diff_id;
};

struct ResolvedIndex {
  Descriptor descriptor;
  std::string bytes;
};

// Where a layer's bytes come from: the way, in the words of DESIGN §3.4 ("layout", "stream", "cached"), and who has
// them (a store's path, a registry's host, the cache's path).
struct LayerOrigin {
  std::string strategy;
  std::string source;
};

struct OpenedLayer {
  std::unique_ptr<ByteReader> reader;
  LayerOrigin origin;
};

// What registries gave before, and whether it is all there is.
struct ImageCaching {
  std::shared_ptr<BlobCache> cache;  // null: nothing is kept
  LocalityRules locality;            // which registries are local
  bool offline = false;              // no registry is asked; a tag is what it was when its image was last kept
};

struct ResolvedImage {
  Reference reference;
  // The indexes on the way from the reference to the manifest, outermost first; empty if it names the manifest itself.
  std::vector<ResolvedIndex> indexes;
  Descriptor manifest;
  std::string manifest_bytes;
  Descriptor config;
  std::string config_bytes;
  ImageConfig image;
  std::vector<ResolvedLayer> layers;   // base first; as many as diff_ids in the config
  std::string found_in;                // who named the manifest: a store's or the cache's path, or the registry's host
  std::optional<absl::Time> named_at;  // offline: when the tag was last seen to name it
};

// Thread-safe.
class ImageSource {
 public:
  // `client` may be null: then no registry is asked.
  ImageSource(std::vector<std::shared_ptr<const Store>> stores, std::shared_ptr<const RegistryClient> client,
              ImageCaching caching = {});

  // Without a `platform` the host's is chosen from an index, and an image that is for one platform only is taken as it
  // is; with one, an image for another is refused. Of an index entry nothing but the best is tried: a missing blob
  // never leads to another platform's image. Errors, in one line: NotFound the stores have it not and there is no
  // client, or the registry says so, or no such platform; InvalidArgument a bad manifest or config; DataLoss a document
  // that is not what its digest says; else as RegistryClient.
  absl::StatusOr<ResolvedImage> Resolve(const Reference& reference, const std::optional<Platform>& platform,
                                        const Cancellation* cancellation) const;

  // For messages: the file of a layer of `reference` in the first store that has it, else its digest, shortened.
  std::string PlaceOf(const Reference& reference, const Descriptor& blob) const;

  // The bytes of a layer of `reference` from the nearest place that has them, NOT verified. `cancellation` is borrowed
  // for the life of the reader. NotFound naming every place that was asked.
  absl::StatusOr<OpenedLayer> OpenLayer(const Reference& reference, const Descriptor& blob,
                                        const Cancellation* cancellation) const;

  // Everything of `image` into the cache, from the nearest place that has it, and its name; what is there already is
  // not read again. `on_bytes` is told of every piece. As OpenLayer; FailedPrecondition without a cache;
  // ResourceExhausted if it does not fit; DataLoss.
  absl::Status AddToCache(const ResolvedImage& image, const std::function<void(int64_t bytes)>& on_bytes,
                          const Cancellation* cancellation) const;

  // A layer from `origin` was not what its digest says: a cached one is dropped, so that the next time it is fetched.
  // True if that makes another try worth it.
  bool DropLayer(const LayerOrigin& origin, const Descriptor& blob) const;

  // All of `image` has been read: the cache gets its name, if that is where its layers are, for other tools and for
  // `offline`.
  absl::Status KeepName(const ResolvedImage& image) const;

 private:
  // A manifest or an index.
  struct Document {
    Descriptor descriptor;
    std::string bytes;
    std::string found_in;
    std::optional<absl::Time> named_at;
  };
  class Resolution;

  absl::StatusOr<Document> FindTop(const Reference& reference, const Cancellation* cancellation) const;
  absl::StatusOr<Document> FindTag(const Reference& reference, const Cancellation* cancellation) const;
  // The document that `descriptor` names, its size checked.
  absl::StatusOr<Document> FindDocument(const Reference& reference, const Descriptor& descriptor,
                                        const Cancellation* cancellation) const;
  absl::StatusOr<std::string> FindConfig(const Reference& reference, const Descriptor& descriptor,
                                         const Cancellation* cancellation) const;
  // A manifest by its registry; kept.
  absl::StatusOr<Document> FetchManifest(const Reference& reference, const Cancellation* cancellation) const;
  absl::StatusOr<Document> FindTagInCache(const Reference& reference) const;
  // The error of a registry that was asked because the stores had missed.
  absl::Status AfterMiss(const absl::Status& miss, const absl::Status& registry) const;
  bool Keeps(const Reference& reference) const;
  // The bytes of a layer from `offset` on, from the first store that has it, else the registry.
  absl::StatusOr<std::unique_ptr<ByteReader>> Fetch(const Reference& reference, const Descriptor& blob, int64_t offset,
                                                    const Cancellation* cancellation) const;
  void Keep(const Reference& reference, const Digest& digest, const std::string& document) const;
  bool AsksRegistries() const { return client_ != nullptr && !caching_.offline; }
  // From the first store that has it, else the cache, whole and verified; NotFound naming them all, or the DataLoss of
  // one.
  absl::StatusOr<Document> FindHere(const Reference& reference, const Digest& digest, int64_t max_bytes) const;

  const std::vector<std::shared_ptr<const Store>> stores_;
  const std::shared_ptr<const RegistryClient> client_;
  const ImageCaching caching_;
};

}  // namespace sluice
