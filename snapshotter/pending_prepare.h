// One Prepare under way: answered once, and until its layer is there, cancellable by the caller.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/snapshot.h"

namespace sluice {

// Thread-safe. Shared by whoever asked and the Snapshotter that works on it.
class PendingPrepare {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<Mount>>)>;

  // `done` is called exactly once, on any thread. `ledger`, borrowed, is told before; null: nobody counts.
  explicit PendingPrepare(Done done, PrepareLedger* ledger = nullptr);

  // The caller has gone: while the layer is waited for, `done` gets `reason` at once and nothing is left behind. Work
  // that takes milliseconds is not interrupted, and may end with another answer.
  void Cancel(absl::Status reason = absl::CancelledError("prepare: cancelled"));

  // For the Snapshotter.
  //
  // The work proceeds; false: it was cancelled and has been answered. After true, Cancel() takes effect at Wait().
  bool Proceed();
  // The work waits for its layer; false as above.
  bool Wait();
  // How the wanted layer is got (prepare_ledger.h), to be counted with the answer.
  void GotBy(std::string strategy);
  void Answer(absl::StatusOr<std::vector<Mount>> result);
  // Set by Cancel().
  const std::shared_ptr<Cancellation>& cancellation() const { return cancellation_; }

 private:
  enum class State { kWaiting, kWorking, kAnswered };

  // The one answer. The state is kAnswered.
  void End(absl::StatusOr<std::vector<Mount>> result);

  const Done done_;
  PrepareLedger* const ledger_;
  const absl::Time began_ = absl::Now();
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  Mutex mutex_;
  State state_ SLUICE_GUARDED_BY(mutex_) = State::kWaiting;
  absl::Status cancelled_ SLUICE_GUARDED_BY(mutex_);  // the reason, while kWorking
  std::string strategy_ SLUICE_GUARDED_BY(mutex_) = kGotNothing;
};

}  // namespace sluice
