#include "snapshotter/service/containerd/snapshot_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

namespace snapshots_v1 = containerd::services::snapshots::v1;
namespace diff_v1 = containerd::services::diff::v1;

}  // namespace

SnapshotClient::SnapshotClient(ContainerdSession& session, std::string snapshotter)
    : session_(session),
      snapshotter_(std::move(snapshotter)),
      snapshots_(snapshots_v1::Snapshots::NewStub(session.channel())),
      diff_(diff_v1::Diff::NewStub(session.channel())) {}

absl::StatusOr<bool> SnapshotClient::Exists(const std::string& key) {
  snapshots_v1::StatSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(key);
  snapshots_v1::StatSnapshotResponse response;
  ContainerdCall call(session_);
  const grpc::Status status = snapshots_->Stat(call.context(), request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return false;
  RETURN_IF_ERROR(FromGrpcStatus(status, absl::StrCat("stat snapshot ", key)));
  return true;
}

// No call answers from the records alone. But a Prepare looks there first for the layer that it is to make
// (metadata/snapshot.go, createSnapshot), and next for its parent: one that is not there ends it.
absl::StatusOr<bool> SnapshotClient::IsRecorded(const std::string& key) {
  const absl::Status status = Prepare("sluice-probe", "sluice-probe-without-parent", {{kRefLabel, key}}).status();
  if (absl::IsAlreadyExists(status)) return true;
  if (absl::IsNotFound(status)) return false;
  RETURN_IF_ERROR(status);
  return absl::InternalError(absl::StrCat("containerd: a snapshot was made over a parent that is not there for ", key));
}

absl::StatusOr<SnapshotClient::Mounts> SnapshotClient::Prepare(const std::string& key, const std::string& parent,
                                                               const Labels& labels) {
  snapshots_v1::PrepareSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(key);
  request.set_parent(parent);
  for (const auto& [name, value] : labels) (*request.mutable_labels())[name] = value;
  snapshots_v1::PrepareSnapshotResponse response;
  ContainerdCall call(session_);
  RETURN_IF_ERROR(
      FromGrpcStatus(snapshots_->Prepare(call.context(), request, &response), absl::StrCat("prepare snapshot ", key)));
  return Mounts(response.mounts().begin(), response.mounts().end());
}

absl::Status SnapshotClient::Commit(const std::string& name, const std::string& key, const Labels& labels) {
  snapshots_v1::CommitSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_name(name);
  request.set_key(key);
  for (const auto& [label, value] : labels) (*request.mutable_labels())[label] = value;
  google::protobuf::Empty response;
  ContainerdCall call(session_);
  return FromGrpcStatus(snapshots_->Commit(call.context(), request, &response), absl::StrCat("commit snapshot ", name));
}

absl::Status SnapshotClient::Remove(const std::string& key) {
  snapshots_v1::RemoveSnapshotRequest request;
  request.set_snapshotter(snapshotter_);
  request.set_key(key);
  google::protobuf::Empty response;
  ContainerdCall call(session_, ContainerdCall::Kind::kCleanup);
  return FromGrpcStatus(snapshots_->Remove(call.context(), request, &response), absl::StrCat("remove snapshot ", key));
}

absl::StatusOr<Digest> SnapshotClient::Apply(const Descriptor& layer, const Mounts& mounts) {
  diff_v1::ApplyRequest request;
  request.mutable_diff()->set_media_type(layer.media_type);
  request.mutable_diff()->set_digest(layer.digest.ToString());
  request.mutable_diff()->set_size(layer.size);
  for (const containerd::types::Mount& mount : mounts) *request.add_mounts() = mount;
  diff_v1::ApplyResponse response;
  ContainerdCall call(session_);
  RETURN_IF_ERROR(FromGrpcStatus(diff_->Apply(call.context(), request, &response),
                                 absl::StrCat("apply layer ", layer.digest.ToString())));
  return Digest::Parse(response.applied().digest());
}

}  // namespace sluice
