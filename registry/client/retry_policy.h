// When a failed request is worth another one, and how long to wait before it.
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/cancellation.h"
#include "registry/client/retry_clock.h"

namespace sluice {

struct RetryPolicy {
  int max_attempts = 6;  // in a row without a new byte; at least 1
  // Doubled each time up to max_delay, and less up to a half at random.
  std::chrono::milliseconds first_delay{250};
  std::chrono::milliseconds max_delay{8'000};
  std::chrono::milliseconds max_retry_after{30'000};  // whatever a server's Retry-After asks for
};

// Retry-After (RFC 9110 section 10.2.3): seconds, or a date in any of HTTP's three forms. Never negative. Unset for
// anything else.
std::optional<std::chrono::milliseconds> ParseRetryAfter(absl::string_view value, absl::Time now);

// Marks an error as that of a place to which the registry had redirected: asked anew, the registry may say another one.
absl::Status MarkRedirected(absl::Status status);
bool IsRedirected(const absl::Status& status);

// Marks an error as one that may be gone the next time.
absl::Status MarkTransient(absl::Status status, std::optional<std::chrono::milliseconds> retry_after = std::nullopt);
bool IsTransient(const absl::Status& status);
// What the server asked for; zero if nothing.
std::chrono::milliseconds RetryAfterOf(const absl::Status& status);

// The attempts at one thing. One thread at a time; borrows all of its arguments.
class Attempts {
 public:
  Attempts(const RetryPolicy& policy, const RetryClock& clock, const Cancellation* cancellation)
      : policy_(policy), clock_(clock), cancellation_(cancellation) {}

  // New bytes came: the counting starts anew, and from here on whatever breaks is worth another try.
  void NoteProgress(size_t bytes);

  // Waits, and returns OK if there is to be another attempt; else why there is none: `failure` itself, with the number
  // of attempts if there were too many, or Cancelled. A server that stalls gets one more chance, and then no other
  // until it has brought 4 KiB.
  absl::Status Again(const absl::Status& failure);

 private:
  bool IsHopeful(const absl::Status& failure) const;

  const RetryPolicy& policy_;
  const RetryClock& clock_;
  const Cancellation* const cancellation_;
  int failures_ = 0;
  bool resuming_ = false;
  bool has_stalled_ = false;
  size_t bytes_since_stall_ = 0;
};

}  // namespace sluice
