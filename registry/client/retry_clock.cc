#include "registry/client/retry_clock.h"

#include <algorithm>
#include <random>
#include <thread>

#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kPoll(50);

class RealClock : public RetryClock {
 public:
  absl::Time Now() const override { return absl::Now(); }

  absl::Status Sleep(std::chrono::milliseconds duration, const Cancellation* cancellation) const override {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point end = Clock::now() + duration;
    while (true) {
      if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
      const Clock::duration left = end - Clock::now();
      if (left <= Clock::duration::zero()) return absl::OkStatus();
      std::this_thread::sleep_for(std::min<Clock::duration>(left, kPoll));
    }
  }

  double Jitter() const override {
    std::random_device random;
    return std::uniform_real_distribution<double>(0, 1)(random);
  }
};

}  // namespace

std::shared_ptr<const RetryClock> RetryClock::Real() { return std::make_shared<RealClock>(); }

}  // namespace sluice
