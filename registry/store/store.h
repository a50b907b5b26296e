// A store: a place on this host that already has blobs, kept by another program (a registry, a builder). Read-only, in
// place, never trusted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "registry/descriptor.h"
#include "registry/endpoint.h"
#include "registry/reference.h"

namespace sluice {

// Thread-safe. Every answer is asked of the file system anew, so it is as fresh as the store.
//
// What is asked for by digest comes with its `origins`: the repositories it is known to belong to, likeliest first, of
// whatever registries; there may be none. They say where to look first: with one that is right the cost does not depend
// on how much the store holds. A store with require_link looks nowhere else.
class Store {
 public:
  virtual ~Store() = default;

  virtual const std::string& name() const = 0;  // for logs: the configured name, or the path
  virtual absl::string_view kind() const = 0;   // "oci-layout", "zot", "distribution"
  virtual const std::string& path() const = 0;

  // True if tags of `host` are this store's to answer (DESIGN §6, "A tag belongs to whoever owns it").
  virtual bool OwnsTagsOf(absl::string_view host) const = 0;

  // The descriptor that `reference` names here. With a digest: that manifest, whoever owns the tags. With a tag only:
  // REQUIRES OwnsTagsOf(reference.host). NotFound when it is not here; InvalidArgument when the tag is ambiguous or
  // what should name it can't be understood, also after a few looks.
  virtual absl::StatusOr<Descriptor> Resolve(const Reference& reference) const = 0;

  // A manifest, index or config, whole and verified against `digest`. NotFound: absent, not a regular file;
  // InvalidArgument: larger than `max_bytes`; DataLoss: its digest differs (the message names path and digests).
  virtual absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes,
                                                   absl::Span<const Endpoint> origins) const = 0;

  // The file that holds the blob if it is here, else where it would be: for messages, and for seeing whether it has
  // changed since. "" if that is nowhere, or not for those who know the blob by `origins`.
  virtual std::string BlobPath(const Digest& digest, absl::Span<const Endpoint> origins) const = 0;

  // Opens a blob for streaming; the descriptor stays open, so a later unlink does no harm. Bytes are NOT verified here:
  // unpack/ does. NotFound: absent, not a regular file, empty; DataLoss: not `size` bytes long when `size` is given.
  virtual absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest, std::optional<int64_t> size,
                                                               absl::Span<const Endpoint> origins) const = 0;
};

// Of all kinds: `owned_hosts` are the registries whose tags the store answers. The directory need not exist yet: it is
// a miss until it does. No name inside of it may be a symbolic link; `path` itself may.

// An OCI image layout directory (image-spec image-layout.md). `owns_all` makes it answer for every host (`--layout DIR`
// on the command line).
std::unique_ptr<Store> MakeOciLayoutStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                          bool owns_all = false);

// zot's root directory: each repository is a layout of its own, <path>/<repository>/{index.json, blobs/sha256/<hex>}.
// `require_link`: a blob is looked for in those of `origins` alone that are at one of `owned_hosts`.
std::unique_ptr<Store> MakeZotStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                    bool require_link = false);

// The CNCF registry's file system storage: the directory that holds docker/registry/v2. `require_link`: what no
// repository among `origins` at one of `owned_hosts` links is not served.
std::unique_ptr<Store> MakeDistributionStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                             bool require_link = false);

}  // namespace sluice
