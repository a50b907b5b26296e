#include "cmd/snapshot_repair.h"

#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "registry/image_config.h"
#include "snapshotter/service/backfill/unpacked_images.h"
#include "snapshotter/service/containerd/container_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "snapshotter/service/containerd/snapshot_client.h"

namespace sluice {
namespace {

// A node can have thousands of images.
constexpr absl::Duration kListTimeout = absl::Seconds(60);
constexpr absl::Duration kCallTimeout = absl::Seconds(10);

}  // namespace

class SnapshotRepair::NamespaceRepair {
 public:
  NamespaceRepair(SnapshotRepair& repair, const std::string& containerd_namespace, const Cancellation& cancellation)
      : repair_(repair),
        session_(repair.node_.containerd, containerd_namespace, cancellation),
        snapshots_(session_, repair.snapshotter_) {}

  absl::Status Run(const std::function<void(const RepairedOwner&)>& on_owner) {
    // That containerd does not know the snapshotter is an error, also where nothing refers to it.
    RETURN_IF_ERROR(snapshots_.Exists("sluice-probe").status());
    RETURN_IF_ERROR(FindOwners());
    RETURN_IF_ERROR(FindLost());
    KeepWhatContainersUse();
    if (!repair_.dry_run_) RETURN_IF_ERROR(RemoveRecords());
    for (const SnapshotOwner& owner : owners_) {
      const RepairedOwner repaired = OutcomeOf(owner);
      if (!repaired.lost.empty()) on_owner(repaired);
    }
    return absl::OkStatus();
  }

 private:
  // containerd lists no snapshot that its snapshotter does not know, so their names come from whoever refers to them.
  // What nobody refers to its own garbage collection removes.
  absl::Status FindOwners() {
    const std::string& containerd_namespace = session_.containerd_namespace();
    ASSIGN_OR_RETURN(const UnpackedImages images, ListUnpackedImages(repair_.store_, containerd_namespace,
                                                                     repair_.snapshotter_, absl::Now() + kListTimeout));
    for (const UnpackedImage& image : images.images) {
      owners_.push_back({.kind = SnapshotOwner::Kind::kImage,
                         .containerd_namespace = containerd_namespace,
                         .names = image.names,
                         .image = {},
                         .snapshots = ChainOf(image)});
    }
    ASSIGN_OR_RETURN(const std::vector<ContainerRecord> containers, ListContainers(session_));
    for (const ContainerRecord& container : containers) {
      if (container.snapshotter != repair_.snapshotter_ || container.snapshot_key.empty()) continue;
      owners_.push_back({.kind = SnapshotOwner::Kind::kContainer,
                         .containerd_namespace = containerd_namespace,
                         .names = {container.id},
                         .image = container.image,
                         .snapshots = {container.snapshot_key}});
    }
    ASSIGN_OR_RETURN(const auto leased, ListLeasedSnapshots(session_, repair_.snapshotter_));
    for (const auto& [lease, keys] : leased) {
      owners_.push_back({.kind = SnapshotOwner::Kind::kPull,
                         .containerd_namespace = containerd_namespace,
                         .names = {lease},
                         .image = {},
                         .snapshots = keys});
    }
    return absl::OkStatus();
  }

  // As far as it can be told: the top at least.
  std::vector<std::string> ChainOf(const UnpackedImage& image) {
    const absl::StatusOr<std::string> document = repair_.store_.ReadDocument(
        session_.containerd_namespace(), image.config, kMaxConfigBytes, absl::Now() + kCallTimeout);
    const absl::StatusOr<ImageConfig> config = document.ok() ? ParseImageConfig(*document) : document.status();
    if (!config.ok()) return {image.top_chain_id};
    std::vector<std::string> chain;
    for (const Digest& chain_id : ChainIds(config->diff_ids)) chain.push_back(chain_id.ToString());
    return chain;
  }

  absl::Status FindLost() {
    std::set<std::string> seen;
    for (const SnapshotOwner& owner : owners_) {
      for (auto name = owner.snapshots.rbegin(); name != owner.snapshots.rend(); ++name) {
        if (!seen.insert(*name).second) continue;
        RETURN_IF_ERROR(session_.cancellation().Check());
        ASSIGN_OR_RETURN(const bool exists, snapshots_.Exists(*name));
        if (exists) continue;
        ASSIGN_OR_RETURN(const bool recorded, snapshots_.IsRecorded(*name));
        if (recorded) lost_.push_back(*name);
      }
    }
    return absl::OkStatus();
  }

  // A container's snapshot is nobody's to remove but the container's; and it holds those that it was made from.
  void KeepWhatContainersUse() {
    for (const SnapshotOwner& container : owners_) {
      if (container.kind != SnapshotOwner::Kind::kContainer) continue;
      const std::string reason = absl::StrCat("container ", container.names.front(), " uses it");
      kept_.emplace(container.snapshots.front(), reason);
      for (const SnapshotOwner& image : owners_) {
        if (image.kind != SnapshotOwner::Kind::kImage || !absl::c_linear_search(image.names, container.image)) continue;
        for (const std::string& name : image.snapshots) kept_.emplace(name, reason);
      }
    }
  }

  // Images share layers, so what has no child left is found by trying, until nothing goes any more.
  absl::Status RemoveRecords() {
    std::vector<std::string> left;
    absl::c_copy_if(lost_, std::back_inserter(left), [this](const std::string& name) { return !kept_.contains(name); });
    for (size_t before = left.size() + 1; left.size() < before;) {
      before = left.size();
      std::vector<std::string> with_children;
      for (const std::string& name : left) {
        RETURN_IF_ERROR(session_.cancellation().Check());
        const absl::Status status = snapshots_.Remove(name);
        if (absl::IsFailedPrecondition(status)) {
          with_children.push_back(name);
        } else if (!absl::IsNotFound(status)) {
          RETURN_IF_ERROR(status);
        }
      }
      left = std::move(with_children);
    }
    for (const std::string& name : left) kept_.emplace(name, "another snapshot was made from it");
    return absl::OkStatus();
  }

  RepairedOwner OutcomeOf(const SnapshotOwner& owner) const {
    RepairedOwner repaired{.owner = owner, .lost = {}, .removed = true, .reason = {}};
    for (const std::string& name : owner.snapshots) {
      if (!absl::c_linear_search(lost_, name)) continue;
      repaired.lost.push_back(name);
      if (const auto kept = kept_.find(name); kept != kept_.end() && repaired.removed) {
        repaired.removed = false;
        repaired.reason = kept->second;
      }
    }
    return repaired;
  }

  SnapshotRepair& repair_;
  ContainerdSession session_;
  SnapshotClient snapshots_;
  std::vector<SnapshotOwner> owners_;
  std::vector<std::string> lost_;            // each once; of an image the topmost first
  std::map<std::string, std::string> kept_;  // by name: why
};

absl::Status SnapshotRepair::Run(const Cancellation& cancellation,
                                 const std::function<void(const RepairedOwner&)>& on_owner) {
  for (const std::string& containerd_namespace : node_.namespaces) {
    const absl::Status repaired = NamespaceRepair(*this, containerd_namespace, cancellation).Run(on_owner);
    if (!repaired.ok()) return Annotate(repaired, absl::StrCat("namespace ", containerd_namespace));
  }
  return absl::OkStatus();
}

}  // namespace sluice
