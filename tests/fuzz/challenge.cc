#include "registry/client/challenge.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

std::string ToHeader(const Challenge& challenge) {
  std::string header = challenge.scheme;
  const char* separator = " ";
  for (const auto& [name, value] : challenge.parameters) {
    absl::StrAppend(&header, separator, name, "=\"", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}}),
                    "\"");
    separator = ", ";
  }
  return header;
}

}  // namespace

// The input: header values, one a line.
SLUICE_FUZZ_TARGET(input) {
  const std::vector<std::string> headers = absl::StrSplit(input, '\n');
  for (const Challenge& challenge : ParseChallenges(headers)) {
    EXPECT_FALSE(challenge.scheme.empty());
    EXPECT_EQ(challenge.scheme, absl::AsciiStrToLower(challenge.scheme));
    for (const auto& [name, value] : challenge.parameters) {
      EXPECT_FALSE(name.empty());
      EXPECT_EQ(name, absl::AsciiStrToLower(name));
    }
    // Written as the RFC wants it, it is the same.
    const std::string header = ToHeader(challenge);
    const std::vector<Challenge> again = ParseChallenges({header});
    ASSERT_EQ(again.size(), 1u) << header;
    EXPECT_EQ(again[0].scheme, challenge.scheme);
    EXPECT_EQ(again[0].parameters, challenge.parameters) << header;
  }
}

}  // namespace sluice::testing
