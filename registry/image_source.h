// From a reference to everything that is known before the first layer is read: manifest, config, layers. And from a
// layer to its bytes.
//
// Who is asked (DESIGN §6, "A tag belongs to whoever owns it"): a tag, the first store that owns the tags of its host,
// else its registry. A digest, every store in their order, else the registry: content is verified, so it does not
// matter who has it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "registry/client/registry_client.h"
#include "registry/descriptor.h"
#include "registry/image_config.h"
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

struct ResolvedImage {
  Reference reference;
  // The indexes on the way from the reference to the manifest, outermost first; empty if it names the manifest itself.
  std::vector<ResolvedIndex> indexes;
  Descriptor manifest;
  std::string manifest_bytes;
  Descriptor config;
  std::string config_bytes;
  ImageConfig image;
  std::vector<ResolvedLayer> layers;  // base first; as many as diff_ids in the config
  std::string found_in;               // who named the manifest: a store's path, or the registry's host
};

// Thread-safe.
class ImageSource {
 public:
  // `client` may be null: then no registry is asked.
  ImageSource(std::vector<std::shared_ptr<const Store>> stores, std::shared_ptr<const RegistryClient> client);

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
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenLayer(const Reference& reference, const Descriptor& blob,
                                                        const Cancellation* cancellation) const;

 private:
  // A manifest or an index.
  struct Document {
    Descriptor descriptor;
    std::string bytes;
    std::string found_in;
  };
  class Resolution;

  absl::StatusOr<Document> FindTop(const Reference& reference, const Cancellation* cancellation) const;
  absl::StatusOr<Document> FindTag(const Reference& reference, const Cancellation* cancellation) const;
  // The document that `descriptor` names, its size checked.
  absl::StatusOr<Document> FindDocument(const Reference& reference, const Descriptor& descriptor,
                                        const Cancellation* cancellation) const;
  absl::StatusOr<std::string> FindConfig(const Reference& reference, const Descriptor& descriptor,
                                         const Cancellation* cancellation) const;
  // From the first store that has it, whole and verified; NotFound naming them all, or the DataLoss of one.
  absl::StatusOr<Document> ReadFromStores(const Reference& reference, const Digest& digest, int64_t max_bytes) const;

  const std::vector<std::shared_ptr<const Store>> stores_;
  const std::shared_ptr<const RegistryClient> client_;
};

}  // namespace sluice
