// The ways to get the bytes of one layer, best first: from a store on this host, from a copy of our own, from a
// registry (DESIGN §3.4).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "registry/cache/blob_cache.h"
#include "registry/locality.h"
#include "registry/store/store.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/local_blobs.h"
#include "snapshotter/fill/plan.h"
#include "snapshotter/fill/registry_policy.h"
#include "snapshotter/fill/strategy.h"

namespace sluice {

// Which layer is wanted, as far as its sources are concerned.
struct LayerWanted {
  std::string image;  // for messages
  std::string containerd_namespace;
  std::vector<PlannedBlob> blobs;  // any of them will do, likeliest first
  Locality locality = Locality::kUnknown;
  std::vector<Endpoint> endpoints;
  // Readers begin at this byte of the blob.
  int64_t offset = 0;
  // What a remote registry gives from the first byte on goes into the cache, for the next time.
  bool keep = true;
};

// One way. The bytes are not verified: whoever reads them does.
struct LayerOffer {
  Strategy strategy = Strategy::kDefer;
  BlobSource source = BlobSource::kNone;
  PlannedBlob blob;
  std::string place;  // for the log: "store=/var/lib/registry kind=oci-layout"
  // Called once at most. For a registry it may take as long as the network does.
  std::function<absl::StatusOr<std::unique_ptr<ByteReader>>()> open;
  // The offer did not hold: one WARNING, and what can be learned from it for the next layer. Not for Cancelled.
  std::function<void(const absl::Status& reason)> reject;
};

// Thread-safe.
class LayerSources {
 public:
  // The bytes of `blob` from `offset` on, from the registry at `endpoint`; resumed by itself when a connection breaks.
  // `cancellation` is borrowed for the life of the reader.
  using OpenRemote = std::function<absl::StatusOr<std::unique_ptr<ByteReader>>(
      const Endpoint& endpoint, const PlannedBlob& blob, int64_t offset, const Cancellation* cancellation)>;

  struct Options {
    std::vector<std::shared_ptr<const Store>> stores;
    BlobCache* cache = nullptr;             // borrowed; null: registries are only streamed
    ContentStore* content_store = nullptr;  // borrowed; null: not asked
    OpenRemote open_remote = nullptr;       // null: no registry is asked
    LocalityRules locality = {};
    RegistryPolicies policies = {};
  };

  explicit LayerSources(Options options) : options_(std::move(options)), local_(options_.stores) {}

  struct Offers {
    std::vector<LayerOffer> offers;  // those on this host first
    // Why something that is on this host is not among them; OK if nothing was passed over.
    absl::Status rejection;
    // Why there is nothing (more), with the mend: for the log line of a layer that is left to containerd.
    std::string reason;
    FallbackReason cause = FallbackReason::kMissing;  // the same, to be counted
  };

  // Looks on this host only. `cancellation` is borrowed by the offers and their readers.
  Offers Find(const LayerWanted& wanted, const Cancellation& cancellation);

 private:
  // A registry that did not answer, or did not let us in, is not asked again for a while: the layers of one image would
  // each wait for it. Nor do they each warn of it.
  struct Outage {
    absl::Time until;
    absl::Status reason;
    bool warned = false;
  };
  class Search;

  absl::StatusOr<std::unique_ptr<ByteReader>> Download(absl::Span<const Endpoint> endpoints, const PlannedBlob& blob,
                                                       int64_t offset, const Cancellation* cancellation);
  absl::StatusOr<std::unique_ptr<ByteReader>> DownloadFrom(const Endpoint& endpoint, const PlannedBlob& blob,
                                                           int64_t offset, const Cancellation* cancellation);
  absl::Status OutageOf(const std::string& host);
  void NoteOutage(const std::string& host, const absl::Status& reason);
  // Whether `reason` for not using `endpoints` deserves a warning: all but an outage that had one.
  bool IsNews(absl::Span<const Endpoint> endpoints, const absl::Status& reason);

  const Options options_;
  LocalBlobs local_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Outage> outages_ SLUICE_GUARDED_BY(mutex_);  // by host
};

}  // namespace sluice
