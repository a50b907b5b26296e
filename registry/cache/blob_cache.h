// Blobs that were downloaded, kept for the next time: an OCI image layout that any OCI tool can read (DESIGN §6).
//
//   <path>/oci-layout, index.json      image-spec image-layout.md; index.json names the images that were added
//   <path>/blobs/sha256/<hex>          whole and verified
//   <path>/ingest/<hex>                being downloaded, or interrupted: its length is how far it got
//   <path>/lock                        held for a moment to count, evict and name
//
// Several processes may use one cache at the same time, and may die at any moment. Blobs are read, written and evicted
// under flock(2) on the blob's own file (ingest.h has the protocol). The file system must have flock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "registry/cache/image_index.h"
#include "registry/descriptor.h"

namespace sluice {

struct BlobCacheOptions {
  int64_t max_bytes = 0;       // 0: the smaller of 20 GiB and a tenth of the file system
  int64_t min_free_bytes = 0;  // what is always left free on the file system
  int64_t min_free_inodes = 0;
};

struct CachedBlob {
  Digest digest;
  int64_t bytes = 0;
  absl::Time used_at;
  bool complete = false;  // false: an interrupted download
};

struct CacheTotals {
  int64_t blobs = 0;
  int64_t bytes = 0;
  int64_t max_bytes = 0;
};

// Thread-safe, and safe between processes.
class BlobCache {
 public:
  // Where a download starts: the bytes of the blob from `offset` on.
  using Fetch = std::function<absl::StatusOr<std::unique_ptr<ByteReader>>(int64_t offset)>;

  // Makes the directory (0700) and what belongs in it where missing. Errors name the path: FailedPrecondition it is
  // something else than an OCI layout; else the errno.
  static absl::StatusOr<std::unique_ptr<BlobCache>> Open(const std::string& path, const BlobCacheOptions& options);

  const std::string& path() const;
  // How much it may hold.
  int64_t max_bytes() const;

  // True if the blob is here, whole. Says nothing about its content.
  bool Contains(const Digest& digest, std::optional<int64_t> size) const;

  // A blob that is here whole, not verified anew: unpack/ does that. It counts as used now, and is not evicted as long
  // as the reader lives. NotFound.
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest, std::optional<int64_t> size);

  // The blob, downloaded if it is not here, and readable while it arrives. However many ask, in however many
  // processes, one of them downloads and the others follow; when that one stops (cancelled, killed), another goes on
  // from where it stopped. What an earlier download left is continued. Verified and put in place when its last byte was
  // read; DataLoss for another digest or length, and then nothing of it is left. A blob that does not fit (max_bytes,
  // min_free_*, a full disk) is read past the cache. `cancellation` is borrowed for the life of the reader, may be
  // null.
  //
  // Nothing happens before the first Read: `fetch` is called from there, on the reading thread, and its errors are
  // Read's. A downloader that is not read keeps its followers waiting. The reader may outlive the cache.
  // InvalidArgument for a negative size.
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenOrFetch(const Digest& digest, int64_t size, Fetch fetch,
                                                          const Cancellation* cancellation);

  // A blob that turned out not to be what its name says: gone at once, whoever reads it.
  absl::Status Drop(const Digest& digest);

  // A small document (manifest, index, config), whole. ReadDocument verifies, and drops what is corrupt: NotFound, as
  // for one that is larger. WriteDocument: InvalidArgument for another digest, ResourceExhausted if it does not fit.
  absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes);
  absl::Status WriteDocument(const Digest& digest, const std::string& content);

  // Names `manifest` in index.json as `reference` (org.opencontainers.image.ref.name), in place of what had that name.
  absl::Status NameImage(const std::string& reference, const Descriptor& manifest);

  // The manifest that was last named so, and when. NotFound, also when the manifest itself is no longer here.
  absl::StatusOr<NamedImage> FindImage(const std::string& reference) const;

  // Everything in it, least recently used first.
  absl::StatusOr<std::vector<CachedBlob>> List() const;
  // The same, summed up.
  absl::StatusOr<CacheTotals> Totals() const;

  // Evicts, least recently used first and never what is being read or downloaded, until at most `max_bytes` are left.
  // Returns how many bytes that freed. Names in index.json whose manifest is gone go too.
  absl::StatusOr<int64_t> Prune(int64_t max_bytes);

 private:
  class Impl;
  explicit BlobCache(std::unique_ptr<Impl> impl);

 public:
  ~BlobCache();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
