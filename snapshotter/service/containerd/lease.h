// A lease of containerd (docs/garbage-collection.md): what a client has made and not yet named survives until it ends.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {

// Takes a lease in the name of `session`, which must outlive this object. One thread at a time.
class Lease {
 public:
  // It expires by itself after a day, if its owner is killed.
  static absl::StatusOr<Lease> Take(ContainerdSession& session);
  // The same under an id that the next attempt at this work will use, too: it replaces what a killed owner has left.
  static absl::StatusOr<Lease> Replace(ContainerdSession& session, const std::string& id);

  Lease(Lease&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  Lease& operator=(Lease&&) = delete;
  // Gives the lease back and has containerd collect what nothing else refers to.
  ~Lease();

  // After success: the same without waiting for the collection.
  absl::Status Release();

 private:
  static absl::StatusOr<Lease> Create(ContainerdSession& session, const std::string& id);

  explicit Lease(ContainerdSession* session) : session_(session) {}

  ContainerdSession* session_;
};

// Has the session's lease keep a snapshot, or content with all that it refers to, that was there before.
absl::Status KeepContent(ContainerdSession& session, const Digest& digest);
absl::Status KeepSnapshot(ContainerdSession& session, const std::string& snapshotter, const std::string& key);

// The snapshots of `snapshotter` that unfinished work holds, by the id of its lease.
absl::StatusOr<std::map<std::string, std::vector<std::string>>> ListLeasedSnapshots(ContainerdSession& session,
                                                                                    const std::string& snapshotter);

}  // namespace sluice
