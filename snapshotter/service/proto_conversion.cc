#include "snapshotter/service/proto_conversion.h"

namespace sluice {
namespace {

namespace snapshots = containerd::services::snapshots::v1;

snapshots::Kind KindOf(SnapshotKind kind) {
  switch (kind) {
    case SnapshotKind::kView:
      return snapshots::VIEW;
    case SnapshotKind::kActive:
      return snapshots::ACTIVE;
    case SnapshotKind::kCommitted:
      return snapshots::COMMITTED;
  }
  return snapshots::UNKNOWN;
}

}  // namespace

void ToProto(absl::Time time, google::protobuf::Timestamp& message) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  message.set_seconds(seconds);
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

void ToProto(const SnapshotInfo& info, snapshots::Info& message) {
  message.set_name(info.name);
  message.set_parent(info.parent);
  message.set_kind(KindOf(info.kind));
  ToProto(info.created, *message.mutable_created_at());
  ToProto(info.updated, *message.mutable_updated_at());
  for (const auto& [key, value] : info.labels) (*message.mutable_labels())[key] = value;
}

void ToProto(const std::vector<Mount>& mounts, google::protobuf::RepeatedPtrField<containerd::types::Mount>& messages) {
  for (const Mount& mount : mounts) {
    containerd::types::Mount& message = *messages.Add();
    message.set_type(mount.type);
    message.set_source(mount.source);
    for (const std::string& option : mount.options) message.add_options(option);
  }
}

std::vector<Mount> FromProto(const google::protobuf::RepeatedPtrField<containerd::types::Mount>& messages) {
  std::vector<Mount> mounts;
  mounts.reserve(static_cast<size_t>(messages.size()));
  for (const containerd::types::Mount& message : messages) {
    const auto& options = message.options();
    mounts.push_back({message.type(), message.source(), {options.begin(), options.end()}, message.target()});
  }
  return mounts;
}

Labels FromProto(const google::protobuf::Map<std::string, std::string>& labels) {
  return Labels(labels.begin(), labels.end());
}

}  // namespace sluice
