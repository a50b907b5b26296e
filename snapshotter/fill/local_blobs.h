// The blobs of a layer that lie in the stores of this host.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "registry/store/store.h"
#include "snapshotter/fill/plan.h"

namespace sluice {

// One blob in one store, open: what happens to the file's name afterwards does not matter.
struct LocalBlob {
  PlannedBlob blob;
  std::shared_ptr<const Store> store;
  std::unique_ptr<ByteReader> reader;
};

// Thread-safe.
class LocalBlobs {
 public:
  explicit LocalBlobs(std::vector<std::shared_ptr<const Store>> stores) : stores_(std::move(stores)) {}

  // Those of `blobs` that are in a store, blobs in the given order, each from the stores in their order.
  std::vector<LocalBlob> Open(absl::Span<const PlannedBlob> blobs);

  // The blob did not hold what its name says. It is not offered again for kRejectionLifetime: clients try three times,
  // and reading gigabytes anew each time only to refuse them helps nobody. Then it may have been repaired.
  void Reject(const LocalBlob& blob);

  // "zot (/var/lib/registry), layout (/srv/oci)", for messages; "" without stores.
  std::string Names() const;

 private:
  static constexpr absl::Duration kRejectionLifetime = absl::Seconds(15);

  bool IsRejected(const std::string& key);

  const std::vector<std::shared_ptr<const Store>> stores_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, absl::Time> rejected_until_ SLUICE_GUARDED_BY(mutex_);  // by store path and digest
};

}  // namespace sluice
