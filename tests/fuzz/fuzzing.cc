#include "tests/fuzz/fuzzing.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace sluice::testing {

void ExpectGoodMessage(const absl::Status& status) {
  if (status.ok()) return;
  constexpr size_t kMost = 4096;
  const absl::string_view message = status.message();
  EXPECT_FALSE(message.empty());
  EXPECT_LE(message.size(), kMost) << message.substr(0, kMost);
  EXPECT_FALSE(std::any_of(message.begin(), message.end(), absl::ascii_iscntrl)) << message;
  EXPECT_FALSE(absl::EndsWith(message, ".")) << message;
}

std::vector<std::string> SplitInput(absl::string_view input, size_t most) {
  return absl::StrSplit(input, absl::MaxSplits('\0', most - 1));
}

}  // namespace sluice::testing
