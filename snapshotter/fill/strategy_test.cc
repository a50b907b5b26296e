#include "snapshotter/fill/strategy.h"

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr Locality kLocal = Locality::kLocal;
constexpr Locality kRemote = Locality::kRemote;
constexpr Locality kUnknown = Locality::kUnknown;

std::string Show(const std::vector<Rung>& ladder) {
  static constexpr const char* kStrategies[] = {"layout", "stream", "cached", "defer"};
  static constexpr const char* kSources[] = {"store", "copy", "registry", ""};
  return absl::StrJoin(ladder, " > ", [](std::string* out, const Rung& rung) {
    const std::string source = kSources[static_cast<int>(rung.source)];
    out->append(kStrategies[static_cast<int>(rung.strategy)]);
    if (!source.empty()) out->append("@" + source);
  });
}

struct Cell {
  LayerSituation situation;  // plan, locality, in a store, in an own copy, endpoint
  const char* want;
};

class StrategyLadderTest : public testing::TestWithParam<Cell> {};

TEST_P(StrategyLadderTest, IsTheTableOfTheDesign) {
  EXPECT_EQ(Show(StrategyLadder(GetParam().situation)), GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Local, StrategyLadderTest,
    testing::Values(Cell{{true, kLocal, true, true, true}, "layout@store > cached@copy > stream@registry > defer"},
                    Cell{{true, kLocal, true, true, false}, "layout@store > cached@copy > defer"},
                    Cell{{true, kLocal, true, false, true}, "layout@store > stream@registry > defer"},
                    Cell{{true, kLocal, true, false, false}, "layout@store > defer"},
                    Cell{{true, kLocal, false, true, true}, "cached@copy > stream@registry > defer"},
                    Cell{{true, kLocal, false, true, false}, "cached@copy > defer"},
                    Cell{{true, kLocal, false, false, true}, "stream@registry > defer"},
                    Cell{{true, kLocal, false, false, false}, "defer"}));

INSTANTIATE_TEST_SUITE_P(
    Remote, StrategyLadderTest,
    testing::Values(Cell{{true, kRemote, true, true, true}, "cached@store > cached@copy > cached@registry > defer"},
                    Cell{{true, kRemote, true, true, false}, "cached@store > cached@copy > defer"},
                    Cell{{true, kRemote, true, false, true}, "cached@store > cached@registry > defer"},
                    Cell{{true, kRemote, true, false, false}, "cached@store > defer"},
                    Cell{{true, kRemote, false, true, true}, "cached@copy > cached@registry > defer"},
                    Cell{{true, kRemote, false, true, false}, "cached@copy > defer"},
                    Cell{{true, kRemote, false, false, true}, "cached@registry > defer"},
                    Cell{{true, kRemote, false, false, false}, "defer"}));

INSTANTIATE_TEST_SUITE_P(
    Unknown, StrategyLadderTest,
    testing::Values(Cell{{true, kUnknown, true, true, true}, "layout@store > cached@copy > cached@registry > defer"},
                    Cell{{true, kUnknown, true, true, false}, "layout@store > cached@copy > defer"},
                    Cell{{true, kUnknown, true, false, true}, "layout@store > cached@registry > defer"},
                    Cell{{true, kUnknown, true, false, false}, "layout@store > defer"},
                    Cell{{true, kUnknown, false, true, true}, "cached@copy > cached@registry > defer"},
                    Cell{{true, kUnknown, false, true, false}, "cached@copy > defer"},
                    Cell{{true, kUnknown, false, false, true}, "cached@registry > defer"},
                    Cell{{true, kUnknown, false, false, false}, "defer"}));

INSTANTIATE_TEST_SUITE_P(NoPlan, StrategyLadderTest,
                         testing::Values(Cell{{false, kLocal, true, true, true}, "defer"},
                                         Cell{{false, kRemote, true, true, true}, "defer"},
                                         Cell{{false, kUnknown, false, false, false}, "defer"}));

TEST(LogPhraseTest, IsExact) {
  EXPECT_EQ(LogPhrase(Strategy::kLayout), "using streaming unpack from layout for local registry image");
  EXPECT_EQ(LogPhrase(Strategy::kStream), "using streaming unpack for local registry image");
  EXPECT_EQ(LogPhrase(Strategy::kCached), "using cached unpack");
  EXPECT_EQ(LogPhrase(Strategy::kDefer), "deferring to containerd");
}

}  // namespace
}  // namespace sluice
