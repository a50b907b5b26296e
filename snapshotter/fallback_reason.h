// Why a way to get a layer did not hold, or the layer was left to containerd: a small closed set, so that it can be
// counted. The words for people are the status's message.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

enum class FallbackReason {
  kBadRef,            // the wanted chainID is no digest
  kUnknownImage,      // nothing says which layer that is
  kUnexpectedParent,  // the layer was asked for over another parent than its image has
  kUnknownRegistry,   // in no store, and which port the registry listens on is not known
  kNoSource,          // in no store, and no registry is asked
  kForbidden,         // by registry.policy
  kMissing,           // whoever was asked does not have it
  kUnreachable,       // a registry or containerd did not answer, or broke off
  kDenied,            // a registry did not let us in
  kCorrupt,           // not what its digest or its config says
  kUnproven,          // the layers below are not this daemon's, and nothing proves what the layer is
  kUnsupported,       // no tar, or needs what the unpacker does not do
  kNoRoom,            // disk, memory or file descriptors have run out
  kVanished,          // deleted between being filled and being used
  kInternal,          // anything else
};

// Lower case with underscores, fit for a label of a metric: "unknown_image".
absl::string_view FallbackReasonName(FallbackReason reason);

// `status` with the reason, where its code would say another; message and code stay.
absl::Status WithReason(absl::Status status, FallbackReason reason);

// The reason that was given by WithReason(), also if the status was annotated since; else what its code says.
FallbackReason ReasonOf(const absl::Status& status);

// How often it happened for one reason. Not thread-safe.
struct FallbackTally {
  int64_t count = 0;
  std::string last;  // the newest message, for people

  void Note(const absl::Status& status) {
    ++count;
    last = std::string(status.message());
  }
};

}  // namespace sluice
