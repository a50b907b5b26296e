// What the core asks of containerd: the documents of the images it is just pulling, their names, and blobs that it has
// already.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"

namespace sluice {

struct ContentInfo {
  Digest digest;
  int64_t size = 0;
  absl::Time created_at;
  // When the content or its labels were last changed, as every pull does. containerd leaves it out of a list.
  std::optional<absl::Time> updated_at;
  // A list leaves out those that list a manifest's layers (containerd.io/gc.ref.content.l.*): there are many, and
  // nobody asks.
  std::map<std::string, std::string> labels;
};

struct ImageRecord {
  std::string name;  // as the client gave it; usually a full reference
  Digest target;     // a manifest or an index
};

// Thread-safe. `containerd_namespace` confines every answer. All calls give up at `deadline` with DeadlineExceeded;
// Unavailable when containerd does not answer.
class ContentStore {
 public:
  virtual ~ContentStore() = default;

  // The manifests and indexes with their labels, newest first.
  virtual absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string& containerd_namespace,
                                                                 absl::Time deadline) = 0;

  // What the leases of unfinished work hold, newest lease first: the documents of the images that are being pulled, and
  // those of their blobs that are here. Every client of containerd pulls under a lease that expires by itself, and
  // fetches into it also what is here already (client.go Pull, core/metadata/content.go). Bounded.
  virtual absl::StatusOr<std::vector<Digest>> ListLeased(const std::string& containerd_namespace,
                                                         absl::Time deadline) = 0;

  // Any content: NotFound if it is not here.
  virtual absl::StatusOr<ContentInfo> Stat(const std::string& containerd_namespace, const Digest& digest,
                                           absl::Time deadline) = 0;

  // The whole document, verified. ResourceExhausted when it is larger than `max_bytes`; DataLoss when its digest
  // differs; NotFound.
  virtual absl::StatusOr<std::string> ReadDocument(const std::string& containerd_namespace, const Digest& digest,
                                                   int64_t max_bytes, absl::Time deadline) = 0;

  // True if the blob is there, whole, and `size` bytes long where that is known. False also when containerd does not
  // say.
  virtual bool HasBlob(const std::string& containerd_namespace, const Digest& digest, std::optional<int64_t> size,
                       absl::Time deadline) = 0;

  // A blob as a stream, not verified. `cancellation` is borrowed for the life of the reader, and ends a wait within 100
  // ms; so does the end of containerd.
  virtual absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string& containerd_namespace,
                                                               const Digest& digest,
                                                               const Cancellation* cancellation) = 0;

  virtual absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string& containerd_namespace,
                                                              absl::Time deadline) = 0;
};

}  // namespace sluice
