#include "snapshotter/prepare_ledger.h"

namespace sluice {
namespace {

// AlreadyExists is also the answer for a key that is taken: then no layer was got.
PrepareOutcome OutcomeOf(absl::string_view strategy, const absl::Status& answer) {
  if (answer.ok()) return PrepareOutcome::kMounts;
  if (absl::IsAlreadyExists(answer) && strategy != kGotNothing && strategy != kGotDeferred)
    return PrepareOutcome::kProvided;
  return absl::IsCancelled(answer) ? PrepareOutcome::kCancelled : PrepareOutcome::kFailed;
}

}  // namespace

absl::string_view PrepareOutcomeName(PrepareOutcome outcome) {
  switch (outcome) {
    case PrepareOutcome::kProvided:
      return "provided";
    case PrepareOutcome::kMounts:
      return "mounts";
    case PrepareOutcome::kCancelled:
      return "cancelled";
    case PrepareOutcome::kFailed:
      break;
  }
  return "failed";
}

void PrepareLedger::Began() {
  const MutexLock lock(mutex_);
  ++in_flight_;
}

void PrepareLedger::Answered(absl::string_view strategy, const absl::Status& answer, absl::Duration held) {
  const std::string name(strategy);
  const MutexLock lock(mutex_);
  --in_flight_;
  ++prepares_[{name, OutcomeOf(strategy, answer)}];
  held_[name].Observe(held);
}

void PrepareLedger::Deferred(const absl::Status& reason) {
  const MutexLock lock(mutex_);
  deferrals_[ReasonOf(reason)].Note(reason);
}

int64_t PrepareLedger::InFlight() const {
  const MutexLock lock(mutex_);
  return in_flight_;
}

std::vector<PrepareCount> PrepareLedger::Prepares() const {
  std::vector<PrepareCount> counts;
  const MutexLock lock(mutex_);
  for (const auto& [key, count] : prepares_) counts.push_back({key.first, key.second, count});
  return counts;
}

std::vector<DeferralCount> PrepareLedger::Deferrals() const {
  std::vector<DeferralCount> counts;
  const MutexLock lock(mutex_);
  for (const auto& [reason, tally] : deferrals_) counts.push_back({reason, tally.count, tally.last});
  return counts;
}

std::map<std::string, DurationHistogram> PrepareLedger::Held() const {
  const MutexLock lock(mutex_);
  return held_;
}

}  // namespace sluice
