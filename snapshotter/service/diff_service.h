// containerd's Diff service over an Applier: request → plain values, one call, status → gRPC.
#pragma once

#include "absl/status/status.h"
#include "containerd/services/diff/v1/diff.grpc.pb.h"
#include "snapshotter/fill/applier.h"
#include "snapshotter/service/snapshots_service.h"

namespace sluice {

namespace diff_v1 = containerd::services::diff::v1;

// Thread-safe. An Apply that waits for its layer holds no thread of gRPC.
class DiffService final : public diff_v1::Diff::CallbackService {
 public:
  // Both borrowed. What `snapshots` refuses is refused here, too, but not what is none of our business: while another
  // containerd answers, or at the end, other snapshotters' layers still go to the next differ.
  DiffService(Applier& applier, SnapshotsService& snapshots) : applier_(applier), snapshots_(snapshots) {}

  // What is under way is answered Unavailable.
  void Drain() { applier_.Shutdown(); }

  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context, const diff_v1::ApplyRequest* request,
                                  diff_v1::ApplyResponse* response) override;
  // Unimplemented: containerd's own differ compares our mounts as well as any others.
  grpc::ServerUnaryReactor* Diff(grpc::CallbackServerContext* context, const diff_v1::DiffRequest* request,
                                 diff_v1::DiffResponse* response) override;

 private:
  Applier& applier_;
  SnapshotsService& snapshots_;
};

}  // namespace sluice
