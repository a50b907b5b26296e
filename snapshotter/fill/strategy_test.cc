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
  static constexpr const char* kSources[] = {"store", "copy", "local", "remote", ""};
  return absl::StrJoin(ladder, " > ", [](std::string* out, const Rung& rung) {
    const std::string source = kSources[static_cast<int>(rung.source)];
    out->append(kStrategies[static_cast<int>(rung.strategy)]);
    if (!source.empty()) out->append("@" + source);
  });
}

struct Cell {
  LayerSituation situation;  // plan, locality, in a store, in an own copy, local endpoint, remote endpoint
  const char* want;
};

class StrategyLadderTest : public testing::TestWithParam<Cell> {};

TEST_P(StrategyLadderTest, IsTheTableOfTheDesign) {
  EXPECT_EQ(Show(StrategyLadder(GetParam().situation)), GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Local, StrategyLadderTest,
    testing::Values(Cell{{true, kLocal, true, true, true, false, {}},
                         "layout@store > cached@copy > stream@local > defer"},
                    Cell{{true, kLocal, true, true, false, false, {}}, "layout@store > cached@copy > defer"},
                    Cell{{true, kLocal, true, false, true, false, {}}, "layout@store > stream@local > defer"},
                    Cell{{true, kLocal, true, false, false, false, {}}, "layout@store > defer"},
                    Cell{{true, kLocal, false, true, true, false, {}}, "cached@copy > stream@local > defer"},
                    Cell{{true, kLocal, false, true, false, false, {}}, "cached@copy > defer"},
                    Cell{{true, kLocal, false, false, true, false, {}}, "stream@local > defer"},
                    Cell{{true, kLocal, false, false, false, false, {}}, "defer"},
                    // The same image at two registries.
                    Cell{{true, kLocal, true, true, true, true, {}},
                         "layout@store > cached@copy > stream@local > cached@remote > defer"},
                    Cell{{true, kLocal, false, false, true, true, {}}, "stream@local > cached@remote > defer"}));

INSTANTIATE_TEST_SUITE_P(
    Remote, StrategyLadderTest,
    testing::Values(Cell{{true, kRemote, true, true, false, true, {}},
                         "cached@store > cached@copy > cached@remote > defer"},
                    Cell{{true, kRemote, true, true, false, false, {}}, "cached@store > cached@copy > defer"},
                    Cell{{true, kRemote, true, false, false, true, {}}, "cached@store > cached@remote > defer"},
                    Cell{{true, kRemote, true, false, false, false, {}}, "cached@store > defer"},
                    Cell{{true, kRemote, false, true, false, true, {}}, "cached@copy > cached@remote > defer"},
                    Cell{{true, kRemote, false, true, false, false, {}}, "cached@copy > defer"},
                    Cell{{true, kRemote, false, false, false, true, {}}, "cached@remote > defer"},
                    Cell{{true, kRemote, false, false, false, false, {}}, "defer"}));

INSTANTIATE_TEST_SUITE_P(Unknown, StrategyLadderTest,
                         testing::Values(Cell{{true, kUnknown, true, true, false, false, {}},
                                              "layout@store > cached@copy > defer"},
                                         Cell{{true, kUnknown, true, false, false, false, {}}, "layout@store > defer"},
                                         Cell{{true, kUnknown, false, true, false, false, {}}, "cached@copy > defer"},
                                         Cell{{true, kUnknown, false, false, false, false, {}}, "defer"}));

INSTANTIATE_TEST_SUITE_P(NoPlan, StrategyLadderTest,
                         testing::Values(Cell{{false, kLocal, true, true, true, true, {}}, "defer"},
                                         Cell{{false, kRemote, true, true, true, true, {}}, "defer"},
                                         Cell{{false, kUnknown, false, false, false, false, {}}, "defer"}));

constexpr AllowedStrategies kNoLayout = {.layout = false, .stream = true, .cached = true};
constexpr AllowedStrategies kNoStream = {.layout = true, .stream = false, .cached = true};
constexpr AllowedStrategies kNoCached = {.layout = true, .stream = true, .cached = false};
constexpr AllowedStrategies kOnlyCached = {.layout = false, .stream = false, .cached = true};
constexpr AllowedStrategies kNone = {.layout = false, .stream = false, .cached = false};

INSTANTIATE_TEST_SUITE_P(
    Allowed, StrategyLadderTest,
    testing::Values(
        Cell{{true, kLocal, true, true, true, false, kNoLayout}, "cached@copy > stream@local > defer"},
        Cell{{true, kLocal, true, true, true, false, kNoStream}, "layout@store > cached@copy > cached@local > defer"},
        Cell{{true, kLocal, true, true, true, false, kNoCached}, "layout@store > stream@local > defer"},
        Cell{{true, kLocal, true, true, true, false, kOnlyCached}, "cached@copy > cached@local > defer"},
        Cell{{true, kLocal, true, true, true, true, kNone}, "defer"},
        Cell{{true, kRemote, true, true, false, true, kNoLayout}, "cached@store > cached@copy > cached@remote > defer"},
        Cell{{true, kRemote, true, true, false, true, kNoCached}, "stream@remote > defer"},
        Cell{{true, kRemote, true, true, false, true, kNone}, "defer"}));

TEST(LogPhraseTest, IsExact) {
  EXPECT_EQ(LogPhrase(Strategy::kLayout), "using streaming unpack from layout for local registry image");
  EXPECT_EQ(LogPhrase(Strategy::kStream), "using streaming unpack for local registry image");
  EXPECT_EQ(LogPhrase(Strategy::kCached), "using cached unpack");
  EXPECT_EQ(LogPhrase(Strategy::kDefer), "deferring to containerd");
}

}  // namespace
}  // namespace sluice
