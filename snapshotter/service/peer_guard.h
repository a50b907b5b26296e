// Keeps a root to the one containerd that it began with (DESIGN §5): the garbage collector of another one would remove
// every layer that it does not know.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "snapshotter/background_loop.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/service/snapshots_service.h"

namespace sluice {

// Where the metadata keeps the UUID of the containerd that the root belongs to.
inline constexpr char kContainerdUuidKey[] = "containerd_uuid";

struct PeerGuardOptions {
  std::string address;  // of containerd, for messages
  std::string root;     // likewise
};

// In the background, as soon as containerd answers at the address: its UUID is stored in the metadata, or compared with
// the one stored there. While another one answers, the service refuses all calls. Until one answers it serves.
class PeerGuard {
 public:
  // `metadata` and `service` are borrowed.
  PeerGuard(std::shared_ptr<grpc::Channel> channel, MetadataStore& metadata, SnapshotsService& service,
            PeerGuardOptions options);

  // Compares soon, and not only when it is time again: containerd may be another one since. Thread-safe.
  void LookSoon();

 private:
  void Round();
  absl::Status Compare(const std::string& uuid);

  const std::shared_ptr<grpc::Channel> channel_;
  MetadataStore& metadata_;
  SnapshotsService& service_;
  const PeerGuardOptions options_;
  absl::Time next_look_ = absl::InfinitePast();  // of the loop's thread
  std::atomic<bool> look_wanted_ = false;
  BackgroundLoop loop_;
};

}  // namespace sluice
