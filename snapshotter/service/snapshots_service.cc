#include "snapshotter/service/snapshots_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/mangled_key.h"
#include "snapshotter/service/namespace_header.h"
#include "snapshotter/service/proto_conversion.h"
#include "snapshotter/service/status_to_grpc.h"
#include "snapshotter/snapshot_errors.h"

namespace sluice {
namespace {

// As containerd's own service does.
constexpr size_t kListBatch = 100;
// A hundred snapshots with many labels are more than containerd takes in one message, and a list that its garbage
// collection can't read is the end of all collection.
constexpr size_t kListBatchBytes = size_t{1} << 20;

// Where the client names its namespace, the key must be of the same one.
absl::Status CheckNamespace(const grpc::CallbackServerContext& context, const std::string& key) {
  const std::string header = NamespaceHeader(context);
  return header.empty() ? absl::OkStatus() : CheckKeyNamespace(key, header);
}

template <typename Message>
PrepareRequest ToPrepareRequest(const Message& message) {
  return {message.snapshotter(), message.key(), message.parent(), FromProto(message.labels())};
}

// One line per call at --log-level=debug.
void Trace(const char* operation, const std::string& snapshotter, const std::string& key) {
  VLOG(1) << operation << ": " << snapshotter << ": " << key;
}

}  // namespace

// A call whose work runs on a pool. Deletes itself when gRPC is done with it.
class SnapshotsService::UnaryCall : public grpc::ServerUnaryReactor {
 public:
  const Cancellation& cancellation() const { return cancellation_; }
  void End(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

 private:
  void OnCancel() override { cancellation_.Cancel(); }
  void OnDone() override { delete this; }

  Cancellation cancellation_;
};

template <typename Work>
grpc::ServerUnaryReactor* SnapshotsService::RunOn(WorkerPool& pool, Work work) {
  auto* call = new UnaryCall;
  if (const absl::Status admission = Admission(); !admission.ok()) {
    call->End(admission);
    return call;
  }
  pool.Submit([call, work = std::move(work)]() mutable { call->End(work(call->cancellation())); });
  return call;
}

template <typename Work>
grpc::ServerUnaryReactor* SnapshotsService::RunHere(grpc::CallbackServerContext& context, Work work) {
  absl::Status status = Admission();
  if (status.ok()) status = work();
  grpc::ServerUnaryReactor* const reactor = context.DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// A Prepare: its answer may come long after the pool's thread has left it.
class SnapshotsService::PrepareReactor : public grpc::ServerUnaryReactor {
 public:
  PrepareReactor(snapshots_v1::PrepareSnapshotResponse* response, std::function<void(const absl::Status&)> answered,
                 PrepareLedger* ledger)
      : call_(std::make_shared<PendingPrepare>(
            [this, response, answered = std::move(answered)](absl::StatusOr<std::vector<Mount>> mounts) {
              if (answered != nullptr) answered(mounts.status());
              if (mounts.ok()) ToProto(*mounts, *response->mutable_mounts());
              Finish(ToGrpcStatus(mounts.status()));
            },
            ledger)) {}

  // May outlive the reactor, which is deleted after the answer.
  const std::shared_ptr<PendingPrepare>& call() const { return call_; }

 private:
  void OnCancel() override { call_->Cancel(); }
  void OnDone() override { delete this; }

  const std::shared_ptr<PendingPrepare> call_;
};

// A stream of batches. The list was read at one moment; nothing is locked while it is sent.
class SnapshotsService::ListReactor : public grpc::ServerWriteReactor<snapshots_v1::ListSnapshotsResponse> {
 public:
  void Start(absl::StatusOr<std::vector<SnapshotInfo>> infos) {
    if (!infos.ok()) return Finish(ToGrpcStatus(infos.status()));
    infos_ = *std::move(infos);
    SendNext();
  }

 private:
  void SendNext() {
    if (next_ == infos_.size()) return Finish(grpc::Status::OK);
    batch_.Clear();
    size_t bytes = 0;
    for (size_t i = 0; i < kListBatch && bytes < kListBatchBytes && next_ < infos_.size(); ++i) {
      snapshots_v1::Info& info = *batch_.add_info();
      ToProto(infos_[next_++], info);
      bytes += info.ByteSizeLong();
    }
    StartWrite(&batch_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    SendNext();
  }
  void OnDone() override { delete this; }

  std::vector<SnapshotInfo> infos_;
  size_t next_ = 0;
  snapshots_v1::ListSnapshotsResponse batch_;
};

void SnapshotsService::Drain() {
  {
    const MutexLock lock(mutex_);
    draining_ = true;
    TellAdmission();
  }
  parts_.snapshotter->Shutdown();
}

bool SnapshotsService::Refuse(const absl::Status& reason) {
  const MutexLock lock(mutex_);
  if (refusal_ == reason) return false;
  refusal_ = reason;
  TellAdmission();
  return true;
}

void SnapshotsService::SetAdmissionListener(std::function<void(bool admitted)> listener) {
  const MutexLock lock(mutex_);
  admission_listener_ = std::move(listener);
  TellAdmission();
}

void SnapshotsService::TellAdmission() {
  if (admission_listener_ != nullptr) admission_listener_(!draining_ && refusal_.ok());
}

absl::Status SnapshotsService::Admission() {
  const MutexLock lock(mutex_);
  return draining_ ? ShuttingDownError() : refusal_;
}

std::function<void(const absl::Status&)> SnapshotsService::Follow(
    const snapshots_v1::PrepareSnapshotRequest& request) const {
  if (parts_.on_layer_answered == nullptr || !request.labels().contains(kRefLabel)) return nullptr;
  parts_.on_layer_wanted();
  return [this, prepare = ToPrepareRequest(request)](const absl::Status& answer) {
    parts_.on_layer_answered(prepare, answer);
  };
}

grpc::ServerUnaryReactor* SnapshotsService::Prepare(grpc::CallbackServerContext* context,
                                                    const snapshots_v1::PrepareSnapshotRequest* request,
                                                    snapshots_v1::PrepareSnapshotResponse* response) {
  Trace("prepare", request->snapshotter(), request->key());
  auto* reactor = new PrepareReactor(response, Follow(*request), parts_.ledger);
  const std::shared_ptr<PendingPrepare> call = reactor->call();
  absl::Status admission = Admission();
  if (admission.ok()) admission = CheckNamespace(*context, request->key());
  if (!admission.ok()) {
    call->Answer(admission);
    return reactor;
  }
  parts_.quick->Submit([this, call, prepare = ToPrepareRequest(*request)]() mutable {
    parts_.snapshotter->Prepare(std::move(prepare), call);
  });
  return reactor;
}

grpc::ServerUnaryReactor* SnapshotsService::View(grpc::CallbackServerContext* context,
                                                 const snapshots_v1::ViewSnapshotRequest* request,
                                                 snapshots_v1::ViewSnapshotResponse* response) {
  Trace("view", request->snapshotter(), request->key());
  return RunOn(*parts_.quick, [this, context, request, response](const Cancellation&) -> absl::Status {
    RETURN_IF_ERROR(CheckNamespace(*context, request->key()));
    ASSIGN_OR_RETURN(const std::vector<Mount> mounts, parts_.snapshotter->View(ToPrepareRequest(*request)));
    ToProto(mounts, *response->mutable_mounts());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SnapshotsService::Mounts(grpc::CallbackServerContext* context,
                                                   const snapshots_v1::MountsRequest* request,
                                                   snapshots_v1::MountsResponse* response) {
  Trace("mounts", request->snapshotter(), request->key());
  return RunHere(*context, [this, request, response]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<Mount> mounts,
                     parts_.snapshotter->Mounts(request->snapshotter(), request->key()));
    ToProto(mounts, *response->mutable_mounts());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SnapshotsService::Commit(grpc::CallbackServerContext*,
                                                   const snapshots_v1::CommitSnapshotRequest* request,
                                                   google::protobuf::Empty*) {
  Trace("commit", request->snapshotter(), request->key());
  return RunOn(*parts_.quick, [this, request](const Cancellation&) -> absl::Status {
    // Only sent to snapshotters that advertise "rebase".
    if (!request->parent().empty()) return RebaseUnsupportedError(request->key());
    return parts_.snapshotter->Commit(request->snapshotter(), request->name(), request->key(),
                                      FromProto(request->labels()));
  });
}

grpc::ServerUnaryReactor* SnapshotsService::Remove(grpc::CallbackServerContext*,
                                                   const snapshots_v1::RemoveSnapshotRequest* request,
                                                   google::protobuf::Empty*) {
  Trace("remove", request->snapshotter(), request->key());
  return RunOn(*parts_.quick, [this, request](const Cancellation&) {
    return parts_.snapshotter->Remove(request->snapshotter(), request->key());
  });
}

grpc::ServerUnaryReactor* SnapshotsService::Stat(grpc::CallbackServerContext* context,
                                                 const snapshots_v1::StatSnapshotRequest* request,
                                                 snapshots_v1::StatSnapshotResponse* response) {
  Trace("stat", request->snapshotter(), request->key());
  return RunHere(*context, [this, request, response]() -> absl::Status {
    ASSIGN_OR_RETURN(const SnapshotInfo info, parts_.snapshotter->Stat(request->snapshotter(), request->key()));
    ToProto(info, *response->mutable_info());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SnapshotsService::Update(grpc::CallbackServerContext*,
                                                   const snapshots_v1::UpdateSnapshotRequest* request,
                                                   snapshots_v1::UpdateSnapshotResponse* response) {
  Trace("update", request->snapshotter(), request->info().name());
  return RunOn(*parts_.quick, [this, request, response](const Cancellation&) -> absl::Status {
    const auto& paths = request->update_mask().paths();
    ASSIGN_OR_RETURN(const SnapshotInfo info,
                     parts_.snapshotter->Update(request->snapshotter(), request->info().name(),
                                                FromProto(request->info().labels()), {paths.begin(), paths.end()}));
    ToProto(info, *response->mutable_info());
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<snapshots_v1::ListSnapshotsResponse>* SnapshotsService::List(
    grpc::CallbackServerContext*, const snapshots_v1::ListSnapshotsRequest* request) {
  Trace("list", request->snapshotter(), "");
  auto* reactor = new ListReactor;
  if (const absl::Status admission = Admission(); !admission.ok()) {
    reactor->Start(admission);
    return reactor;
  }
  parts_.lists->Submit([this, reactor, request] {
    const auto& filters = request->filters();
    reactor->Start(parts_.snapshotter->List(request->snapshotter(), {filters.begin(), filters.end()}));
  });
  return reactor;
}

grpc::ServerUnaryReactor* SnapshotsService::Usage(grpc::CallbackServerContext* context,
                                                  const snapshots_v1::UsageRequest* request,
                                                  snapshots_v1::UsageResponse* response) {
  Trace("usage", request->snapshotter(), request->key());
  const absl::StatusOr<std::optional<sluice::Usage>> stored =
      parts_.snapshotter->StoredUsage(request->snapshotter(), request->key());
  if (!stored.ok() || stored->has_value()) {
    return RunHere(*context, [&stored, response]() -> absl::Status {
      RETURN_IF_ERROR(stored.status());
      response->set_size((*stored)->bytes);
      response->set_inodes((*stored)->inodes);
      return absl::OkStatus();
    });
  }
  return RunOn(*parts_.walks, [this, request, response](const Cancellation& cancellation) -> absl::Status {
    ASSIGN_OR_RETURN(const sluice::Usage usage,
                     parts_.snapshotter->GetUsage(request->snapshotter(), request->key(), cancellation));
    response->set_size(usage.bytes);
    response->set_inodes(usage.inodes);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SnapshotsService::Cleanup(grpc::CallbackServerContext*,
                                                    const snapshots_v1::CleanupRequest* request,
                                                    google::protobuf::Empty*) {
  Trace("cleanup", request->snapshotter(), "");
  return RunOn(*parts_.cleanup, [this](const Cancellation& cancellation) {
    parts_.snapshotter->Cleanup(cancellation);
    return absl::OkStatus();
  });
}

}  // namespace sluice
