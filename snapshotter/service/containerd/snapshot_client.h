// containerd's Snapshots and Diff services as an unpacking client uses them (containerd unpacker.go).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "containerd/services/diff/v1/diff.grpc.pb.h"
#include "containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "registry/descriptor.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {

// Thread-safe as far as `session` is, which must outlive it.
class SnapshotClient {
 public:
  using Labels = std::map<std::string, std::string>;
  using Mounts = std::vector<containerd::types::Mount>;

  SnapshotClient(ContainerdSession& session, std::string snapshotter);

  // NotFound by the snapshotter counts as not there, whatever containerd's own records say.
  absl::StatusOr<bool> Exists(const std::string& key);
  // Whether containerd itself has a record of `key`. The snapshotter is not asked, nothing is made.
  absl::StatusOr<bool> IsRecorded(const std::string& key);
  // AlreadyExists: the layer that the labels name (snapshot.ref) is there.
  absl::StatusOr<Mounts> Prepare(const std::string& key, const std::string& parent, const Labels& labels);
  absl::Status Commit(const std::string& name, const std::string& key, const Labels& labels);
  // Goes on when the session is cancelled.
  absl::Status Remove(const std::string& key);

  // Has containerd unpack a blob of its content store onto `mounts`; returns the diffID.
  absl::StatusOr<Digest> Apply(const Descriptor& layer, const Mounts& mounts);

 private:
  ContainerdSession& session_;
  const std::string snapshotter_;
  const std::unique_ptr<containerd::services::snapshots::v1::Snapshots::Stub> snapshots_;
  const std::unique_ptr<containerd::services::diff::v1::Diff::Stub> diff_;
};

}  // namespace sluice
