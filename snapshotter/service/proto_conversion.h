// The snapshot values ↔ their messages on the wire.
#pragma once

#include <vector>

#include "containerd/services/snapshots/v1/snapshots.pb.h"
#include "containerd/types/mount.pb.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_field.h"
#include "snapshotter/snapshot.h"

namespace sluice {

void ToProto(absl::Time time, google::protobuf::Timestamp& message);
void ToProto(const SnapshotInfo& info, containerd::services::snapshots::v1::Info& message);
void ToProto(const std::vector<Mount>& mounts, google::protobuf::RepeatedPtrField<containerd::types::Mount>& messages);
std::vector<Mount> FromProto(const google::protobuf::RepeatedPtrField<containerd::types::Mount>& messages);
Labels FromProto(const google::protobuf::Map<std::string, std::string>& labels);

}  // namespace sluice
