// The blobs of a layer that lie in the stores of this host.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "registry/store/store.h"
#include "snapshotter/fill/plan.h"

namespace sluice {

// Tells one state of a file from another; all zero for a file that is not there.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t mtime_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

// One blob in one store, open: what happens to the file's name afterwards does not matter.
struct LocalBlob {
  PlannedBlob blob;
  std::shared_ptr<const Store> store;
  std::unique_ptr<ByteReader> reader;
  std::string path;
  FileIdentity identity;
};

// Thread-safe.
class LocalBlobs {
 public:
  explicit LocalBlobs(std::vector<std::shared_ptr<const Store>> stores) : stores_(std::move(stores)) {}

  struct Found {
    std::vector<LocalBlob> blobs;
    absl::Status rejection;  // why a file that is there is not among them; OK if there is none
  };

  // Those of `blobs` that are in a store, blobs in the given order, each from the stores in their order. `origins`:
  // where the image can be had, as Store has it.
  Found Open(absl::Span<const PlannedBlob> blobs, absl::Span<const Endpoint> origins);

  // The blob did not hold what its name says, or could not be read: one WARNING, and it is not offered again until its
  // file changes, or for kRejectionLifetime. Clients try three times, and reading gigabytes anew each time only to
  // refuse them helps nobody.
  void Reject(const LocalBlob& blob, const absl::Status& reason);

  // "zot (/var/lib/registry), /srv/oci", for messages; "" without stores.
  std::string Names() const;

 private:
  static constexpr absl::Duration kRejectionLifetime = absl::Minutes(5);

  struct Rejection {
    FileIdentity identity;
    absl::Time until;
    std::string reason;
  };

  void Reject(const std::string& path, const std::string& store_name, const FileIdentity& identity,
              const absl::Status& reason);
  // OK if the file is not rejected as it is.
  absl::Status RejectionOf(const std::string& path, const FileIdentity& identity);

  const std::vector<std::shared_ptr<const Store>> stores_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Rejection> rejections_ SLUICE_GUARDED_BY(mutex_);  // by path
};

}  // namespace sluice
