// containerd's records of snapshots that the snapshotter no longer has, because its root was lost: as long as they are
// there, every pull of their images fails.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/cancellation.h"
#include "cmd/node_arguments.h"
#include "snapshotter/service/containerd/content_store_client.h"

namespace sluice {

// What somebody has in containerd by name: an image its layers, a container its file system, a pull that did not end
// what it had got.
struct SnapshotOwner {
  enum class Kind { kImage, kContainer, kPull };

  Kind kind = Kind::kImage;
  std::string containerd_namespace;
  std::vector<std::string> names;      // of an image; a container's id; a lease's id
  std::string image;                   // of a container
  std::vector<std::string> snapshots;  // base first
};

struct RepairedOwner {
  SnapshotOwner owner;
  std::vector<std::string> lost;  // of its snapshots; never empty
  bool removed = false;           // their records are gone, or would be
  std::string reason;             // why not
};

// One thread at a time.
class SnapshotRepair {
 public:
  // All borrowed.
  SnapshotRepair(const Node& node, ContentStoreClient& store, std::string snapshotter, bool dry_run)
      : node_(node), store_(store), snapshotter_(std::move(snapshotter)), dry_run_(dry_run) {}

  // Removes the records of lost snapshots in the wanted namespaces, children first, but for those of containers and of
  // the images that these use. `on_owner` is told each owner that has lost something. Errors: Unavailable the
  // snapshotter or containerd does not answer: then nothing was removed in that namespace; Cancelled.
  absl::Status Run(const Cancellation& cancellation, const std::function<void(const RepairedOwner&)>& on_owner);

 private:
  class NamespaceRepair;

  const Node& node_;
  ContentStoreClient& store_;
  const std::string snapshotter_;
  const bool dry_run_;
};

}  // namespace sluice
