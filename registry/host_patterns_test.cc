#include "registry/host_patterns.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

TEST(HostPatternsTest, MatchWhatIsWrittenAndNothingElse) {
  const HostPatterns patterns = HostPatterns::Create({"172.30.0.1:5000", "*.lan", "10.0.0.0/8"}).value();
  for (const char* host : {"172.30.0.1:5000", "a.lan", "10.1.2.3:80"}) EXPECT_TRUE(patterns.Match(host)) << host;
  for (const char* host : {"172.30.0.1", "localhost", "127.0.0.1:5000", "lan", ""}) {
    EXPECT_FALSE(patterns.Match(host)) << host;
  }
}

TEST(HostPatternsTest, NoneMatchesNothing) {
  EXPECT_FALSE(HostPatterns().Match("localhost"));
  EXPECT_FALSE(HostPatterns().Match(""));
}

TEST(HostPatternsTest, ErrorQuotesTheEntry) {
  const std::vector<std::string> entries = {"good.lan", "*lan"};
  EXPECT_THAT(HostPatterns::Create(entries).status(),
              testing::StatusIs(absl::StatusCode::kInvalidArgument, "registry \"*lan\": after the '*' comes no '.'"));
}

}  // namespace
}  // namespace sluice
