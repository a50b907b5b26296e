#include "snapshotter/service/peer_guard.h"

#include <chrono>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/service/containerd/identity.h"

namespace sluice {
namespace {

constexpr std::chrono::seconds kUntilAnswered(1);
constexpr absl::Duration kOnceAnswered = absl::Seconds(30);
constexpr absl::Duration kCallLimit = absl::Milliseconds(800);

}  // namespace

PeerGuard::PeerGuard(std::shared_ptr<grpc::Channel> channel, MetadataStore& metadata, SnapshotsService& service,
                     PeerGuardOptions options)
    : channel_(std::move(channel)),
      metadata_(metadata),
      service_(service),
      options_(std::move(options)),
      loop_([this](const Cancellation&) { Round(); }, kUntilAnswered) {}

void PeerGuard::LookSoon() {
  look_wanted_ = true;
  loop_.Wake();
}

void PeerGuard::Round() {
  const absl::Time now = absl::Now();
  if (look_wanted_.exchange(false)) next_look_ = absl::InfinitePast();
  if (now < next_look_) return;
  const absl::StatusOr<std::string> uuid = ReadContainerdUuid(channel_, now + kCallLimit);
  // Not there, or too busy: what was known of it stays.
  if (!uuid.ok()) return;
  next_look_ = now + kOnceAnswered;
  const absl::Status status = Compare(*uuid);
  if (service_.Refuse(status)) {
    LOG_IF(ERROR, !status.ok()) << "refusing all calls: " << status.message();
    LOG_IF(INFO, status.ok()) << "serving the containerd with UUID " << *uuid;
  }
}

absl::Status PeerGuard::Compare(const std::string& uuid) {
  return metadata_.Write([&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<std::string> known, writer.Meta(kContainerdUuidKey));
    if (!known.has_value()) return writer.SetMeta(kContainerdUuidKey, uuid);
    return CheckContainerdUuid(uuid, *known, options_.address, options_.root);
  });
}

}  // namespace sluice
