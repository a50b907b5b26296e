// containerd's differ, as far as it applies layers (containerd core/diff/diff.go, Applier): a blob of its content store
// is unpacked into an active snapshot of ours, by the same code and in the same form as the fills; or, if it has been
// filled before, the snapshot is given the layer directory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "snapshotter/active_snapshots.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/snapshot.h"
#include "unpack/layer.h"

namespace sluice {

struct ApplyRequest {
  std::string containerd_namespace;  // where the blob is; empty: that of the snapshot's key
  std::string media_type;
  std::string digest;
  int64_t size = 0;  // 0: not known
  std::vector<Mount> mounts;
  std::vector<std::string> processors;  // the stream processors that the client has payloads for
  bool sync_fs = false;
};

// The uncompressed stream, all of it: what follows the end of the archive, too.
struct AppliedLayer {
  Digest diff_id;
  int64_t tar_bytes = 0;
};

// Thread-safe.
class Applier {
 public:
  using Done = std::function<void(absl::StatusOr<AppliedLayer>)>;

  struct Options {
    int workers = 0;           // layers that are applied at once; 0: as many as there are cores
    bool always_sync = false;  // as if every request had sync_fs
    UnpackLimits limits = {};
  };

  // All borrowed. `quick` is for what takes milliseconds.
  Applier(ActiveSnapshots& snapshots, LayerStore& layers, ContentStore& content, WorkerPool& quick,
          const Options& options);
  // REQUIRES: `quick` has ended.
  ~Applier();
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Unimplemented for what somebody else must do: mounts of others, media types and stream processors that are not
  // ours. OK says only that Apply() will look closer. Cost: none to speak of.
  absl::Status CheckSupported(const ApplyRequest& request) const;

  // REQUIRES: `cancellation` is not null. Returns at once; `done` is called exactly once, on this thread or another.
  // Either the snapshot holds the layer, or it is as it was and `done` gets an error, which names the layer or the
  // snapshot:
  // - Unimplemented: what CheckSupported() says, mounts of no active snapshot, a snapshot into which something has been
  //   written already, a legal layer that only a mount can tell how to apply. The next differ can do these.
  // - InvalidArgument, DataLoss: the blob is no good, or not the one that its digest and size say.
  // - NotFound: the content store does not have it. Unavailable: containerd does not answer, or Shutdown().
  // - Cancelled, within 100 ms of `cancellation`; else as the file system gave it.
  void Apply(ApplyRequest request, std::shared_ptr<Cancellation> cancellation, Done done);

  // Ends what is under way, with Unavailable, now and from now on.
  void Shutdown();

 private:
  struct Call;

  void Begin(const std::shared_ptr<Call>& call);
  void Run(const std::shared_ptr<Call>& call);
  void End(const std::shared_ptr<Call>& call, absl::StatusOr<AppliedLayer> result);
  absl::StatusOr<AppliedLayer> GiveLayer(const Call& call);
  // Nothing: no layer directory is known to hold this blob.
  absl::StatusOr<std::optional<AppliedLayer>> Adopt(const Call& call);
  absl::StatusOr<AppliedLayer> Fill(const Call& call);
  absl::StatusOr<UnpackedLayer> Unpack(const Call& call, int directory_fd);
  bool MustSync(const Call& call) const;

  ActiveSnapshots& snapshots_;
  LayerStore& layers_;
  ContentStore& content_;
  WorkerPool& quick_;
  const Options options_;

  Mutex mutex_;
  bool shut_down_ SLUICE_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<Call>> calls_ SLUICE_GUARDED_BY(mutex_);

  WorkerPool workers_;  // last: its tasks use all of the above
};

}  // namespace sluice
