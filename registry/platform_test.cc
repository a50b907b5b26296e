#include "registry/platform.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(PlatformTest, ParsesAndNormalises) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"linux/amd64", "linux/amd64"},    {"linux/x86_64", "linux/amd64"},      {"Linux/X86-64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"}, {"linux/amd64/v3", "linux/amd64/v3"}, {"linux/aarch64", "linux/arm64"},
      {"linux/arm64/v8", "linux/arm64"}, {"linux/arm64/8", "linux/arm64"},     {"linux/arm", "linux/arm/v7"},
      {"linux/arm/6", "linux/arm/v6"},   {"linux/armhf", "linux/arm/v7"},      {"linux/armel", "linux/arm/v6"},
      {"linux/i386", "linux/386"},       {"macos/arm64", "darwin/arm64"},      {"linux/riscv64", "linux/riscv64"},
  };
  for (const auto& [text, canonical] : cases) {
    const absl::StatusOr<Platform> platform = ParsePlatform(text);
    ASSERT_TRUE(platform.ok()) << text;
    EXPECT_EQ(platform->ToString(), canonical) << text;
  }
  for (const char* text :
       {"", "linux", "linux/", "/amd64", "linux/amd64/", "linux/a/b/c", "linux/a b", "linux/amd64\n"}) {
    EXPECT_EQ(ParsePlatform(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(PlatformTest, HostIsNormalised) {
  const Platform host = HostPlatform();
  EXPECT_EQ(host.os, "linux");
  EXPECT_EQ(host, NormalizePlatform(host));
}

// The order of `candidates` from best to worst; those that do not run are left out.
std::vector<std::string> Ranked(const std::string& wanted, const std::vector<std::string>& candidates) {
  std::vector<std::pair<int, std::string>> scored;
  for (const std::string& candidate : candidates) {
    const int score = PlatformScore(ParsePlatform(wanted).value(), ParsePlatform(candidate).value());
    if (score > 0) scored.emplace_back(-score, candidate);
  }
  std::stable_sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (auto& [score, name] : scored) names.push_back(std::move(name));
  return names;
}

TEST(PlatformTest, ChoosesAsContainerd) {
  using Names = std::vector<std::string>;
  const Names all = {"linux/386",      "linux/amd64",  "linux/amd64/v2", "linux/amd64/v3",
                     "linux/amd64/v4", "linux/arm/v5", "linux/arm/v6",   "linux/arm/v7",
                     "linux/arm/v8",   "linux/arm64",  "linux/riscv64",  "windows/amd64"};
  EXPECT_EQ(Ranked("linux/amd64", all), (Names{"linux/amd64", "linux/386"}));
  EXPECT_EQ(Ranked("linux/amd64/v3", all), (Names{"linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"}));
  EXPECT_EQ(Ranked("linux/arm/v7", all), (Names{"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}));
  EXPECT_EQ(Ranked("linux/arm", all), (Names{"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}));
  EXPECT_EQ(Ranked("linux/arm/v5", all), (Names{"linux/arm/v5"}));
  EXPECT_EQ(Ranked("linux/arm64", all),
            (Names{"linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}));
  EXPECT_EQ(Ranked("linux/386", all), (Names{"linux/386"}));
  EXPECT_EQ(Ranked("linux/s390x", all), Names{});
}

TEST(PlatformTest, VersionsAndFeaturesOfTheSystem) {
  const Platform wanted = ParsePlatform("linux/amd64").value();
  Platform candidate = wanted;
  candidate.os_version = "6.1";
  EXPECT_GT(PlatformScore(wanted, candidate), 0);
  Platform pinned = wanted;
  pinned.os_version = "5.0";
  EXPECT_EQ(PlatformScore(pinned, candidate), 0);
  candidate.os_features = {"erofs"};
  EXPECT_EQ(PlatformScore(wanted, candidate), 0);
}

TEST(PlatformTest, AbsurdVariantsAreHarmless) {
  EXPECT_EQ(PlatformScore(ParsePlatform("linux/amd64/v2147483647").value(), ParsePlatform("linux/amd64").value()), 2);
}

}  // namespace
}  // namespace sluice
