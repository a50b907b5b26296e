// Reading what another program may be just writing.
#pragma once

#include <time.h>

#include <array>

#include "absl/status/status.h"

namespace sluice {

// Calls `read`, which returns an absl::StatusOr, until it says something other than InvalidArgument or DataLoss: some
// writers write in place, and their files can be seen empty or half. Gives up after 85 ms with the last answer.
template <typename Read>
auto Reread(const Read& read) {
  constexpr std::array<int, 3> kPauses = {10, 25, 50};  // milliseconds
  auto answer = read();
  for (const int pause : kPauses) {
    if (!absl::IsInvalidArgument(answer.status()) && !absl::IsDataLoss(answer.status())) break;
    const timespec duration = {0, pause * 1'000'000L};
    nanosleep(&duration, nullptr);
    answer = read();
  }
  return answer;
}

}  // namespace sluice
