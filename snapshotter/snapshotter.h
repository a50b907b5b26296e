// The ten operations of containerd's snapshots service over directories and rows (containerd snapshots/snapshotter.go
// for what they mean, snapshots/storage/bolt.go for when they fail).
//
// Active snapshots and views are made by Prepare and View, Commit turns an active one into a committed one under a new
// name, Remove deletes whatever has no children. Keys and names are opaque bytes in one key space per `snapshotter`
// (the proxy name): no operation sees another's.
//
// A Prepare that names the layer it wants (label containerd.io/snapshot.ref) is offered to the LayerProvider. If that
// gets and proves the layer, the layer is committed and the answer is AlreadyExists: the client neither downloads nor
// applies it. If not, the client gets mounts as if nothing had been asked.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/janitor.h"
#include "snapshotter/layer_provider.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/mounts.h"
#include "snapshotter/pending_prepare.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/snapshot.h"
#include "snapshotter/snapshot_tree.h"
#include "snapshotter/spare_directories.h"

namespace sluice {

// What a Snapshotter works with, borrowed for its life.
struct SnapshotterParts {
  SnapshotTree* tree = nullptr;
  MetadataStore* metadata = nullptr;
  LayerStore* layers = nullptr;
  Janitor* janitor = nullptr;
  LayerProvider* provider = nullptr;
  WorkerPool* quick = nullptr;         // for what takes milliseconds: the second half of Prepare
  WorkerPool* walks = nullptr;         // for walks over directory trees
  SpareDirectories* spares = nullptr;  // null: every directory is made when it is needed
  PrepareLedger* ledger = nullptr;     // told of layers that are left to containerd; null: nobody counts
  std::function<absl::Time()> now = absl::Now;
};

struct PrepareRequest {
  std::string snapshotter;
  std::string key;
  std::string parent;  // the name of a committed snapshot; empty: none
  Labels labels;
};

// Thread-safe. Every operation but Usage of an uncounted snapshot and Cleanup takes one small transaction and a few
// system calls, whatever the size of the snapshot. Errors a client branches on: snapshot_errors.h.
class Snapshotter {
 public:
  explicit Snapshotter(const SnapshotterParts& parts);
  // REQUIRES: Shutdown() was called and both pools have ended.
  ~Snapshotter();
  Snapshotter(const Snapshotter&) = delete;
  Snapshotter& operator=(const Snapshotter&) = delete;

  // Returns when the layer is being waited for, or the call is answered; `call` is answered on this thread, on the
  // quick pool, or on the thread that cancels it.
  void Prepare(PrepareRequest request, std::shared_ptr<PendingPrepare> call);

  absl::StatusOr<std::vector<Mount>> View(const PrepareRequest& request);
  absl::StatusOr<std::vector<Mount>> Mounts(const std::string& snapshotter, const std::string& key);

  // The active `key` becomes the committed `name`, with these labels alone. Unless there is little to count, its usage
  // is counted in the background.
  absl::Status Commit(const std::string& snapshotter, const std::string& name, const std::string& key,
                      const Labels& labels);

  // The directory is in the trash when this returns, and deleted by Cleanup.
  absl::Status Remove(const std::string& snapshotter, const std::string& key);

  absl::StatusOr<SnapshotInfo> Stat(const std::string& snapshotter, const std::string& key);

  // `paths`: none or "labels" replace all labels by those of `labels`; "labels.<key>" sets this one, or deletes it if
  // it is not in `labels`. Nothing else can be changed.
  absl::StatusOr<SnapshotInfo> Update(const std::string& snapshotter, const std::string& key, const Labels& labels,
                                      const std::vector<std::string>& paths);

  // Those that pass any of the filters (filter.h), oldest first, as of one moment.
  absl::StatusOr<std::vector<SnapshotInfo>> List(const std::string& snapshotter,
                                                 const std::vector<std::string>& filters);

  // Walks the directory of an active snapshot, or of a committed one that has not been counted yet.
  absl::StatusOr<Usage> GetUsage(const std::string& snapshotter, const std::string& key,
                                 const Cancellation& cancellation);

  // Nothing if GetUsage() would have to walk.
  absl::StatusOr<std::optional<Usage>> StoredUsage(const std::string& snapshotter, const std::string& key);

  // Waits until what Remove has put aside is deleted, at most a minute; the rest is deleted in the background.
  void Cleanup(const Cancellation& cancellation);

  // Answers the Prepares that wait for a layer with Unavailable, now and from now on.
  void Shutdown();

 private:
  // A Prepare that has been offered to the provider.
  struct Offer;
  enum class Claim { kCommitted, kLayerVanished };

  // Nothing: an ordinary Prepare. AlreadyExists when the layer is there.
  absl::StatusOr<std::optional<LayerRequest>> WantedLayer(const PrepareRequest& request, PendingPrepare& call);
  void AskProvider(std::shared_ptr<Offer> offer);
  void OnProvided(const std::shared_ptr<Offer>& offer, const absl::StatusOr<ProvidedLayer>& provided);
  absl::Status CommitProvided(const Offer& offer, const LayerRecord& layer, Claim& claim);
  void Defer(const Offer& offer, const absl::Status& reason);
  void NoteDeferred(PendingPrepare& call, const absl::Status& reason);

  absl::StatusOr<std::vector<Mount>> Create(SnapshotKind kind, const PrepareRequest& request);
  absl::StatusOr<SnapshotRow> NewRow(const MetadataReader& reader, SnapshotKind kind, const PrepareRequest& request);
  absl::Status Place(SnapshotRow& row, const std::vector<int64_t>& parents);
  // Calls `read`, which fills the plan, and checks that its directories are there. If they are not, `read` has the
  // first word on why: it is called again.
  absl::Status ReadPlan(absl::string_view operation, const std::string& key, const MountPlan& plan,
                        absl::FunctionRef<absl::Status(const MetadataReader&)> read);
  absl::Status CheckDirectories(absl::string_view operation, const std::string& key, const MountPlan& plan) const;
  absl::Status SettleAdopted(MetadataWriter& writer, SnapshotRow& row);
  void DiscardUnused(const std::vector<int64_t>& directories);
  absl::StatusOr<SnapshotRow> RowOf(absl::string_view operation, const std::string& snapshotter,
                                    const std::string& key);
  std::optional<Usage> CountIfSmall(const std::string& snapshotter, const std::string& key);
  void CountLater(const SnapshotRow& row);
  absl::StatusOr<Usage> Count(const SnapshotRow& row, bool store, const Cancellation* cancellation);

  const SnapshotterParts parts_;
  const bool index_off_;
  Cancellation stopping_;

  Mutex calls_mutex_;
  bool shut_down_ SLUICE_GUARDED_BY(calls_mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<PendingPrepare>> calls_ SLUICE_GUARDED_BY(calls_mutex_);  // waiting for a layer
};

}  // namespace sluice
