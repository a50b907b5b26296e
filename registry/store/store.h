// A store: a place on this host that already has blobs, kept by another program (a registry, a builder). Read-only, in
// place, never trusted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "registry/descriptor.h"
#include "registry/reference.h"

namespace sluice {

// Thread-safe. Every answer is asked of the file system anew, so it is as fresh as the store.
class Store {
 public:
  virtual ~Store() = default;

  virtual const std::string& name() const = 0;  // for logs: the configured name, or the path
  virtual absl::string_view kind() const = 0;   // "oci-layout"
  virtual const std::string& path() const = 0;

  // True if tags of `host` are this store's to answer (DESIGN §6, "A tag belongs to whoever owns it").
  virtual bool OwnsTagsOf(absl::string_view host) const = 0;

  // The descriptor that `reference` names here. With a digest: that manifest, whoever owns the tags. With a tag only:
  // REQUIRES OwnsTagsOf(reference.host). NotFound when it is not here (or torn, or unreadable); InvalidArgument when
  // the tag is ambiguous.
  virtual absl::StatusOr<Descriptor> Resolve(const Reference& reference) const = 0;

  // A manifest, index or config, whole and verified against `digest`. NotFound: absent, not a regular file, larger than
  // `max_bytes`; DataLoss: its digest differs (the message names path and digests).
  virtual absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes) const = 0;

  // The file that holds the blob if it is here: for messages, and for seeing whether it has changed since.
  virtual std::string BlobPath(const Digest& digest) const = 0;

  // Opens a blob for streaming; the descriptor stays open, so a later unlink does no harm. Bytes are NOT verified here:
  // unpack/ does. NotFound: absent, not a regular file, or not `size` bytes long when `size` is given.
  virtual absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest,
                                                               std::optional<int64_t> size) const = 0;
};

// An OCI image layout directory. `owned_hosts` are the registries whose tags it answers; `owns_all` makes it answer for
// every host (`--layout DIR` on the command line). The directory need not exist yet: it is a miss until it does.
std::unique_ptr<Store> MakeOciLayoutStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                          bool owns_all = false);

}  // namespace sluice
