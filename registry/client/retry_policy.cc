#include "registry/client/retry_policy.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/client/http_obstacle.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Its content is the Retry-After in milliseconds.
constexpr char kTransientPayload[] = "sluice.registry.transient";
constexpr char kRedirectedPayload[] = "sluice.registry.redirected";
constexpr size_t kStallForgottenBytes = 4096;
constexpr int64_t kMaxSeconds = 10'000'000;

bool IsBroken(HttpObstacle obstacle) {
  return obstacle == HttpObstacle::kNoAnswer || obstacle == HttpObstacle::kInterrupted;
}

}  // namespace

std::optional<milliseconds> ParseRetryAfter(absl::string_view value, absl::Time now) {
  value = absl::StripAsciiWhitespace(value);
  if (value.empty()) return std::nullopt;
  if (std::all_of(value.begin(), value.end(), absl::ascii_isdigit)) {
    int64_t seconds = kMaxSeconds;
    // A number that overflows is a long time, too.
    if (!absl::SimpleAtoi(value, &seconds)) seconds = kMaxSeconds;
    return std::chrono::seconds(std::min(seconds, kMaxSeconds));
  }
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    absl::Time date;
    if (!absl::ParseTime(format, std::string(value), &date, /*err=*/nullptr)) continue;
    return std::clamp(absl::ToChronoMilliseconds(date - now), milliseconds(0), milliseconds(kMaxSeconds * 1000));
  }
  return std::nullopt;
}

absl::Status MarkRedirected(absl::Status status) {
  status.SetPayload(kRedirectedPayload, absl::Cord());
  return status;
}

bool IsRedirected(const absl::Status& status) { return status.GetPayload(kRedirectedPayload).has_value(); }

absl::Status MarkTransient(absl::Status status, std::optional<milliseconds> retry_after) {
  status.SetPayload(kTransientPayload, absl::Cord(absl::StrCat(retry_after.value_or(milliseconds(0)).count())));
  return status;
}

bool IsTransient(const absl::Status& status) {
  return status.GetPayload(kTransientPayload).has_value() || IsBroken(ObstacleOf(status));
}

milliseconds RetryAfterOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kTransientPayload);
  int64_t count = 0;
  if (payload.has_value() && absl::SimpleAtoi(std::string(*payload), &count)) return milliseconds(count);
  return milliseconds(0);
}

void Attempts::NoteProgress(size_t bytes) {
  failures_ = 0;
  resuming_ = true;
  bytes_since_stall_ += bytes;
  if (bytes_since_stall_ >= kStallForgottenBytes) has_stalled_ = false;
}

bool Attempts::IsHopeful(const absl::Status& failure) const {
  if (IsTransient(failure)) return true;
  if (!resuming_) return false;
  if (ObstacleOf(failure) == HttpObstacle::kStalled && has_stalled_) return false;
  return absl::IsUnavailable(failure) || IsRedirected(failure);
}

absl::Status Attempts::Again(const absl::Status& failure) {
  if (absl::IsCancelled(failure)) return failure;
  ++failures_;
  if (!IsHopeful(failure)) return failure;
  if (failures_ >= policy_.max_attempts) {
    return absl::Status(failure.code(), absl::StrCat(failure.message(), " (attempt ", failures_, ", the last)"));
  }
  if (ObstacleOf(failure) == HttpObstacle::kStalled) {
    has_stalled_ = true;
    bytes_since_stall_ = 0;
  }
  milliseconds delay = std::min(policy_.first_delay * (1 << std::min(failures_ - 1, 16)), policy_.max_delay);
  delay -= std::chrono::duration_cast<milliseconds>(delay * (clock_.Jitter() / 2));
  delay = std::max(delay, std::min(RetryAfterOf(failure), policy_.max_retry_after));
  return clock_.Sleep(delay, cancellation_);
}

}  // namespace sluice
