#include "snapshotter/layer_store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

class StagedLayerDirectory : public StagedLayer {
 public:
  explicit StagedLayerDirectory(StagedDirectory staged) : directory(std::move(staged)) {}
  int fd() const override { return directory.fs_fd(); }

  StagedDirectory directory;
};

absl::Status SyncFileSystem(int fd) {
  return syncfs(fd) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "syncfs", "root");
}

}  // namespace

absl::StatusOr<std::unique_ptr<LayerStore>> LayerStore::Open(SnapshotTree& tree, MetadataStore& metadata,
                                                             LayerStoreOptions options) {
  std::string boot_id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot_id;
  if (boot_id.empty()) return absl::UnavailableError("/proc/sys/kernel/random/boot_id: can't be read");
  return std::unique_ptr<LayerStore>(new LayerStore(tree, metadata, std::move(options), std::move(boot_id)));
}

absl::StatusOr<std::optional<LayerRecord>> LayerStore::Find(const Digest& diff_id, const Digest& chain_id) {
  std::optional<LayerRecord> found;
  RETURN_IF_ERROR(metadata_.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(found, reader.SelfContainedLayer(diff_id));
    if (found.has_value()) return absl::OkStatus();
    ASSIGN_OR_RETURN(found, reader.LayerOfChain(chain_id));
    // A chainID is a digest over its diffIDs: another diffID under it would be a row gone wrong.
    if (found.has_value() && found->facts.diff_id != diff_id) found.reset();
    return absl::OkStatus();
  }));
  // A row without its directory is reported at start; here the layer is simply not there.
  if (found.has_value() && !tree_.Exists(found->id)) found.reset();
  return found;
}

absl::StatusOr<std::vector<LayerRecord>> LayerStore::FindByBlob(const Digest& blob_digest) {
  std::vector<LayerRecord> found;
  RETURN_IF_ERROR(metadata_.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(found, reader.LayersOfBlob(blob_digest));
    return absl::OkStatus();
  }));
  std::erase_if(found, [this](const LayerRecord& layer) { return !tree_.Exists(layer.id); });
  return found;
}

absl::StatusOr<std::unique_ptr<StagedLayer>> LayerStore::Stage() {
  ASSIGN_OR_RETURN(StagedDirectory staged, tree_.Stage(/*work=*/false));
  return std::unique_ptr<StagedLayer>(std::make_unique<StagedLayerDirectory>(std::move(staged)));
}

absl::StatusOr<std::optional<LayerRecord>> LayerStore::FindEqual(const LayerFacts& facts) {
  std::optional<LayerRecord> equal;
  RETURN_IF_ERROR(metadata_.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(equal, facts.chain_id.has_value() ? reader.LayerOfChain(*facts.chain_id)
                                                       : reader.SelfContainedLayer(facts.diff_id));
    return absl::OkStatus();
  }));
  return equal;
}

absl::StatusOr<LayerRecord> LayerStore::Publish(std::unique_ptr<StagedLayer> staged, const LayerFacts& facts) {
  ASSIGN_OR_RETURN(const std::optional<LayerRecord> earlier, FindEqual(facts));
  if (earlier.has_value() && tree_.Exists(earlier->id)) return *earlier;
  if (options_.sync_before_publish) RETURN_IF_ERROR(SyncFileSystem(staged->fd()));

  StagedDirectory& directory = static_cast<StagedLayerDirectory&>(*staged).directory;
  if (earlier.has_value()) {
    // The row lost its directory, and its snapshots wait for nothing else.
    RETURN_IF_ERROR(tree_.Discard(earlier->id));
    RETURN_IF_ERROR(tree_.Publish(std::move(directory), earlier->id));
    return *earlier;
  }

  LayerRecord layer;
  layer.facts = facts;
  ASSIGN_OR_RETURN(layer.id, metadata_.NextDirectoryId());
  RETURN_IF_ERROR(tree_.Publish(std::move(directory), layer.id));
  const absl::Status inserted = metadata_.Write([&](MetadataWriter& writer) {
    return writer.InsertLayer(layer, options_.sync_before_publish, boot_id_, options_.now());
  });
  if (inserted.ok()) return layer;

  tree_.DiscardUnowned(layer.id);
  if (!absl::IsAlreadyExists(inserted)) return inserted;
  ASSIGN_OR_RETURN(const std::optional<LayerRecord> winner, FindEqual(facts));
  if (!winner.has_value()) return absl::UnavailableError("publish: the equal layer has just been removed");
  return *winner;
}

absl::StatusOr<UniqueFd> LayerStore::Open(int64_t id) { return tree_.OpenFs(id); }

std::shared_ptr<void> LayerStore::Hold() {
  const MutexLock lock(holds_mutex_);
  const auto position = holds_.insert(options_.now());
  return std::shared_ptr<void>(nullptr, [this, position](void*) {
    const MutexLock release_lock(holds_mutex_);
    holds_.erase(position);
  });
}

absl::Status LayerStore::ReapUnclaimed() { return DiscardUnclaimed(options_.grace).status(); }

absl::StatusOr<std::vector<LayerRecord>> LayerStore::PruneUnclaimed() { return DiscardUnclaimed(absl::ZeroDuration()); }

absl::StatusOr<std::vector<LayerRecord>> LayerStore::DiscardUnclaimed(absl::Duration grace) {
  absl::Time waited_for = options_.now();
  {
    const MutexLock lock(holds_mutex_);
    if (!holds_.empty()) waited_for = std::min(waited_for, *holds_.begin());
  }
  std::vector<int64_t> expired;
  RETURN_IF_ERROR(metadata_.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(expired, reader.UnclaimedLayers(waited_for - grace));
    return absl::OkStatus();
  }));
  std::vector<LayerRecord> discarded;
  for (const int64_t id : expired) {
    ASSIGN_OR_RETURN(std::optional<LayerRecord> layer, DiscardIfUnclaimed(id));
    if (layer.has_value()) discarded.push_back(*std::move(layer));
  }
  return discarded;
}

absl::StatusOr<std::optional<LayerRecord>> LayerStore::DiscardIfUnclaimed(int64_t directory_id) {
  std::optional<LayerRecord> dropped;
  RETURN_IF_ERROR(metadata_.Write([&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t claims, writer.Claims(directory_id));
    if (claims > 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(dropped, writer.Layer(directory_id));
    return writer.DeleteLayer(directory_id);
  }));
  if (dropped.has_value()) tree_.DiscardUnowned(directory_id);
  return dropped;
}

absl::Status LayerStore::SyncPublished() {
  std::vector<int64_t> unsynced;
  const auto list = [&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(unsynced, reader.UnsyncedLayers());
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(metadata_.Read(list));
  if (unsynced.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(SyncFileSystem(tree_.root_fd()));
  return metadata_.Write([&](MetadataWriter& writer) -> absl::Status {
    for (const int64_t id : unsynced) RETURN_IF_ERROR(writer.MarkSynced(id));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<LayerRecord>> LayerStore::Suspects() {
  std::vector<LayerRecord> suspects;
  std::vector<LayerRecord> claimed;
  RETURN_IF_ERROR(metadata_.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(suspects, reader.UnsyncedLayersOfOtherBoots(boot_id_));
    return absl::OkStatus();
  }));
  for (LayerRecord& layer : suspects) {
    RETURN_IF_ERROR(DiscardIfUnclaimed(layer.id).status());
    if (tree_.Exists(layer.id)) claimed.push_back(std::move(layer));
  }
  return claimed;
}

}  // namespace sluice
