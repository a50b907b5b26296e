// One Prepare under way: answered once, and until its layer is there, cancellable by the caller.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "snapshotter/snapshot.h"

namespace sluice {

// Thread-safe. Shared by whoever asked and the Snapshotter that works on it.
class PendingPrepare {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<Mount>>)>;

  // `done` is called exactly once, on any thread.
  explicit PendingPrepare(Done done);

  // The caller has gone: while the layer is waited for, `done` gets `reason` at once and nothing is left behind. Work
  // that takes milliseconds is not interrupted, and may end with another answer.
  void Cancel(absl::Status reason = absl::CancelledError("prepare: cancelled"));

  // For the Snapshotter.
  //
  // The work proceeds; false: it was cancelled and has been answered. After true, Cancel() takes effect at Wait().
  bool Proceed();
  // The work waits for its layer; false as above.
  bool Wait();
  void Answer(absl::StatusOr<std::vector<Mount>> result);
  // Set by Cancel().
  const std::shared_ptr<Cancellation>& cancellation() const { return cancellation_; }

 private:
  enum class State { kWaiting, kWorking, kAnswered };

  const Done done_;
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  Mutex mutex_;
  State state_ SLUICE_GUARDED_BY(mutex_) = State::kWaiting;
  absl::Status cancelled_ SLUICE_GUARDED_BY(mutex_);  // the reason, while kWorking
};

}  // namespace sluice
