// How long something took, as counts between fixed bounds: what a Prometheus histogram is made of. The bounds reach
// from a quick call to a layer over a slow line.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace sluice {

// Upper bounds in seconds, inclusive; what is longer than the last is counted after it.
inline constexpr std::array<double, 15> kDurationBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                           0.5,   1,      2.5,   5,    10,    60,   300};

// A value. Not thread-safe: whoever owns it locks it.
struct DurationHistogram {
  std::array<int64_t, kDurationBounds.size() + 1> counts = {};  // of each interval, not cumulated
  double seconds = 0;                                           // the sum

  // A clock that was set back makes negative durations; they count as none.
  void Observe(absl::Duration duration) {
    const double value = std::max(0.0, absl::ToDoubleSeconds(duration));
    ++counts[static_cast<size_t>(std::lower_bound(kDurationBounds.begin(), kDurationBounds.end(), value) -
                                 kDurationBounds.begin())];
    seconds += value;
  }

  int64_t Count() const {
    int64_t count = 0;
    for (const int64_t one : counts) count += one;
    return count;
  }
};

}  // namespace sluice
