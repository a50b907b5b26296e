// containerd's Snapshots service over a Snapshotter: request → plain values, one call, status → gRPC. No decision is
// taken here.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/snapshotter.h"

namespace sluice {

namespace snapshots_v1 = containerd::services::snapshots::v1;

// What the service works with, borrowed for its life. A walk or a deletion never keeps a quick call waiting.
struct ServiceParts {
  Snapshotter* snapshotter = nullptr;
  WorkerPool* quick = nullptr;    // transactions of milliseconds: what must wait for the disk
  WorkerPool* walks = nullptr;    // Usage
  WorkerPool* cleanup = nullptr;  // Cleanup, which waits up to a minute
  WorkerPool* lists = nullptr;    // List, which takes long where there is much to list
  // Told when a Prepare that asks for a layer begins, and when it is answered: AlreadyExists if the layer is there.
  // They return at once. Both null, or neither.
  std::function<void()> on_layer_wanted = nullptr;
  std::function<void(const PrepareRequest&, const absl::Status&)> on_layer_answered = nullptr;
  PrepareLedger* ledger = nullptr;  // told of every Prepare; null: nobody counts
};

// Thread-safe. gRPC's own threads answer what is read from memory in microseconds, and hand all other calls to the
// pools; a Prepare that waits for its layer holds no thread.
class SnapshotsService final : public snapshots_v1::Snapshots::CallbackService {
 public:
  explicit SnapshotsService(const ServiceParts& parts) : parts_(parts) {}

  // From now on every call is answered Unavailable, and the Prepares that wait are too.
  void Drain();

  // Until it is called again every call is answered `reason`, unless that is OK. True if this is news.
  bool Refuse(const absl::Status& reason);

  // `listener` is told at once, and whenever it changes, whether calls are admitted. It must not call back. Null: none.
  void SetAdmissionListener(std::function<void(bool admitted)> listener);

  // Whether a call may begin now.
  absl::Status Admission();

  grpc::ServerUnaryReactor* Prepare(grpc::CallbackServerContext* context,
                                    const snapshots_v1::PrepareSnapshotRequest* request,
                                    snapshots_v1::PrepareSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* View(grpc::CallbackServerContext* context, const snapshots_v1::ViewSnapshotRequest* request,
                                 snapshots_v1::ViewSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* Mounts(grpc::CallbackServerContext* context, const snapshots_v1::MountsRequest* request,
                                   snapshots_v1::MountsResponse* response) override;
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context,
                                   const snapshots_v1::CommitSnapshotRequest* request,
                                   google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context,
                                   const snapshots_v1::RemoveSnapshotRequest* request,
                                   google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* Stat(grpc::CallbackServerContext* context, const snapshots_v1::StatSnapshotRequest* request,
                                 snapshots_v1::StatSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const snapshots_v1::UpdateSnapshotRequest* request,
                                   snapshots_v1::UpdateSnapshotResponse* response) override;
  grpc::ServerWriteReactor<snapshots_v1::ListSnapshotsResponse>* List(
      grpc::CallbackServerContext* context, const snapshots_v1::ListSnapshotsRequest* request) override;
  grpc::ServerUnaryReactor* Usage(grpc::CallbackServerContext* context, const snapshots_v1::UsageRequest* request,
                                  snapshots_v1::UsageResponse* response) override;
  grpc::ServerUnaryReactor* Cleanup(grpc::CallbackServerContext* context, const snapshots_v1::CleanupRequest* request,
                                    google::protobuf::Empty* response) override;

 private:
  class UnaryCall;
  class PrepareReactor;
  class ListReactor;

  // Tells that `request` has begun; what it returns, which may be null, is to be told how it ends.
  std::function<void(const absl::Status&)> Follow(const snapshots_v1::PrepareSnapshotRequest& request) const;

  void TellAdmission() SLUICE_REQUIRES(mutex_);

  // Ends the call with what `work` returns now.
  template <typename Work>
  grpc::ServerUnaryReactor* RunHere(grpc::CallbackServerContext& context, Work work);

  // Runs `work` on `pool` and ends the call with what it returns.
  template <typename Work>
  grpc::ServerUnaryReactor* RunOn(WorkerPool& pool, Work work);

  const ServiceParts parts_;
  Mutex mutex_;
  absl::Status refusal_ SLUICE_GUARDED_BY(mutex_);
  bool draining_ SLUICE_GUARDED_BY(mutex_) = false;
  std::function<void(bool)> admission_listener_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
