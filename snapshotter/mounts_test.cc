#include "snapshotter/mounts.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

struct Case {
  const char* name;
  MountPlan plan;
  bool index_off;
  Mount want;
};

class MountsTest : public ::testing::TestWithParam<Case> {};

TEST_P(MountsTest, AreContainerdsOwn) {
  ASSERT_OK_AND_ASSIGN(const PathLayout layout, PathLayout::ForRoot("/r"));
  EXPECT_THAT(MountsOf(layout, GetParam().plan, GetParam().index_off), ::testing::ElementsAre(GetParam().want));
}

constexpr auto kActive = SnapshotKind::kActive;
constexpr auto kView = SnapshotKind::kView;

INSTANTIATE_TEST_SUITE_P(
    All, MountsTest,
    ::testing::Values(
        Case{"ActiveWithoutParent", {kActive, 5, {}}, true, {"bind", "/r/snapshots/5/fs", {"rw", "rbind"}}},
        Case{"ViewWithoutParent", {kView, 5, {}}, true, {"bind", "/r/snapshots/5/fs", {"ro", "rbind"}}},
        Case{"ActiveWithOneParent",
             {kActive, 5, {4}},
             false,
             {"overlay",
              "overlay",
              {"workdir=/r/snapshots/5/work", "upperdir=/r/snapshots/5/fs", "lowerdir=/r/snapshots/4/fs"}}},
        Case{"ActiveWithIndexOff",
             {kActive, 5, {4, 3}},
             true,
             {"overlay",
              "overlay",
              {"index=off", "workdir=/r/snapshots/5/work", "upperdir=/r/snapshots/5/fs",
               "lowerdir=/r/snapshots/4/fs:/r/snapshots/3/fs"}}},
        Case{"ViewWithOneParent", {kView, std::nullopt, {4}}, true, {"bind", "/r/snapshots/4/fs", {"ro", "rbind"}}},
        Case{"ViewWithTwoParents",
             {kView, std::nullopt, {4, 3}},
             false,
             {"overlay", "overlay", {"lowerdir=/r/snapshots/4/fs:/r/snapshots/3/fs"}}},
        Case{"SharedDirectoryIsListedOnceAtItsTopmostPlace",
             {kView, std::nullopt, {4, 3, 4, 2, 3}},
             false,
             {"overlay", "overlay", {"lowerdir=/r/snapshots/4/fs:/r/snapshots/3/fs:/r/snapshots/2/fs"}}},
        Case{"ViewLeftWithOneDirectoryIsBound",
             {kView, std::nullopt, {4, 4, 4}},
             false,
             {"bind", "/r/snapshots/4/fs", {"ro", "rbind"}}}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sluice
