#include "snapshotter/fallback_reason.h"

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"

namespace sluice {
namespace {

constexpr char kReasonPayload[] = "sluice.reason";

// In the order of the enumeration.
constexpr std::array<absl::string_view, 15> kNames = {
    "bad_ref",   "unknown_image", "unexpected_parent", "unknown_registry", "no_source",
    "forbidden", "missing",       "unreachable",       "denied",           "corrupt",
    "unproven",  "unsupported",   "no_room",           "vanished",         "internal",
};
static_assert(kNames.size() == static_cast<size_t>(FallbackReason::kInternal) + 1);

FallbackReason ReasonOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
      return FallbackReason::kMissing;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return FallbackReason::kUnreachable;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return FallbackReason::kDenied;
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return FallbackReason::kCorrupt;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return FallbackReason::kUnsupported;
    case absl::StatusCode::kResourceExhausted:
      return FallbackReason::kNoRoom;
    default:
      return FallbackReason::kInternal;
  }
}

}  // namespace

absl::string_view FallbackReasonName(FallbackReason reason) { return kNames[static_cast<size_t>(reason)]; }

absl::Status WithReason(absl::Status status, FallbackReason reason) {
  if (!status.ok()) status.SetPayload(kReasonPayload, absl::Cord(FallbackReasonName(reason)));
  return status;
}

FallbackReason ReasonOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kReasonPayload);
  if (payload.has_value()) {
    for (size_t i = 0; i < kNames.size(); ++i) {
      if (*payload == kNames[i]) return static_cast<FallbackReason>(i);
    }
  }
  return ReasonOfCode(status.code());
}

}  // namespace sluice
