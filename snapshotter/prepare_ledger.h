// What became of the Prepares since the daemon began: for `sluicectl status` and for metrics.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/histogram.h"
#include "base/mutex.h"
#include "snapshotter/fallback_reason.h"

namespace sluice {

enum class PrepareOutcome {
  kProvided,   // AlreadyExists: the layer is there, the client neither downloads nor applies it
  kMounts,     // mounts were given
  kCancelled,  // the client went away first
  kFailed,     // any other answer
};

// Lower case, fit for a label of a metric: "provided".
absl::string_view PrepareOutcomeName(PrepareOutcome outcome);

// How the wanted layer was got beside the strategies of the fills, whose names are the provider's.
inline constexpr char kGotNothing[] = "none";     // no layer was asked for, or the call ended before it was known
inline constexpr char kGotPresent[] = "present";  // it was there before
inline constexpr char kGotDeferred[] = "defer";   // it was left to containerd

struct PrepareCount {
  std::string strategy;
  PrepareOutcome outcome = PrepareOutcome::kFailed;
  int64_t count = 0;
};

// Layers that were left to containerd.
struct DeferralCount {
  FallbackReason reason = FallbackReason::kInternal;
  int64_t count = 0;
  std::string last;  // the newest message, for people
};

// Thread-safe. Every note is a few instructions under one lock.
class PrepareLedger {
 public:
  // A Prepare has begun.
  void Began();
  // It was answered, after `held`. `strategy` is one of the constants above, or a strategy's name.
  void Answered(absl::string_view strategy, const absl::Status& answer, absl::Duration held);
  // A layer that was asked for is left to containerd.
  void Deferred(const absl::Status& reason);

  int64_t InFlight() const;
  std::vector<PrepareCount> Prepares() const;
  std::vector<DeferralCount> Deferrals() const;
  // How long containerd was kept waiting, by strategy: it holds a lock of its snapshotter all the while.
  std::map<std::string, DurationHistogram> Held() const;

 private:
  mutable Mutex mutex_;
  int64_t in_flight_ SLUICE_GUARDED_BY(mutex_) = 0;
  std::map<std::pair<std::string, PrepareOutcome>, int64_t> prepares_ SLUICE_GUARDED_BY(mutex_);
  std::map<FallbackReason, FallbackTally> deferrals_ SLUICE_GUARDED_BY(mutex_);
  std::map<std::string, DurationHistogram> held_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
