// sluicectl unpack by somebody who is not root.
#include <string>
#include <vector>

#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/tree_listing.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::NamesIn;
using ::testing::Not;
using testing::OrdinaryUser;
using testing::Outcome;
using testing::Read;
using testing::Sluicectl;
using testing::TarBuilder;
using testing::User;

// cap_net_raw+ep, as ping has it: struct vfs_cap_data, revision 2.
const std::string kNetRaw("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);

class SluicectlUserTest : public testing::SluicectlFixture {
 protected:
  SluicectlUserTest() {
    testing::ImageSpec spec;
    spec.layers = {{.tar = TarBuilder()
                               .File("owned", "", {.uid = 1})
                               .File("grouped", "", {.gid = 2})
                               .CharDevice("null", 1, 3)
                               .File("ping", "", {.xattrs = {{"security.capability", kNetRaw}}})
                               .Directory("closed", {.mode = 0})
                               .Directory("closed/closed", {.mode = 0})
                               .File("closed/closed/file", "x")
                               .Build()}};
    layout_.AddImage(spec, "example.com/odd:1");
  }

  std::vector<std::string> UnpackOdd(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"unpack", "example.com/odd:1", work_.At("root"), "--layout",
                                          layout_.directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

TEST_F(SluicectlUserTest, AnOrdinaryImageNeedsNoRootAndNoWarning) {
  const Outcome outcome = Sluicectl(UnpackArguments(work_.At("root"), {"--require-exact"}), User::kOrdinary);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("WARNING")));
  ExpectTree(work_.At("root"));
}

TEST_F(SluicectlUserTest, OneWarningCountsWhatOnlyRootCanMake) {
  const Outcome outcome = Sluicectl(UnpackOdd(), User::kOrdinary);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("sluicectl: WARNING: example.com/odd:1: only root can make 2 owners (noted in "
                                     "user.rootlesscontainers), 1 devices (empty files instead) and 1 extended "
                                     "attributes (left out); the first is /"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
  const absl::StatusOr<testing::TreeListing> listing = testing::ListTree(work_.At("root"));
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_EQ(listing->at("closed/closed").mode, 0u);
  EXPECT_EQ(listing->at("null").type, '-');
  for (const auto& [path, entry] : *listing) EXPECT_EQ(entry.uid, OrdinaryUser::kUid) << path;
  EXPECT_EQ(NamesIn(work_.path()), std::vector<std::string>{"root"});
}

TEST_F(SluicectlUserTest, TheJsonSummaryHasTheCounts) {
  const Outcome outcome = Sluicectl(UnpackOdd({"--json"}), User::kOrdinary);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["inexact"],
            (nlohmann::json{{"owners", 2}, {"devices", 1}, {"xattrs", 1}}));
}

TEST_F(SluicectlUserTest, RequireExactRefusesAndLeavesNothing) {
  ExpectFailure(1, UnpackOdd({"--require-exact"}), "--require-exact: only root can make 2 owners", User::kOrdinary);
  EXPECT_EQ(Sluicectl(UnpackOdd({"--require-exact"})).code, 0);
}

// The closed directories of a half-made tree included.
TEST_F(SluicectlUserTest, AFailureLeavesNothing) {
  testing::ImageSpec spec;
  spec.layers = {{.tar = TarBuilder().Directory("a", {.mode = 0}).Directory("a/b", {.mode = 0}).File("a/b/c").Build()},
                 {.tar = TarBuilder().HardLink("x", "missing").Build()}};
  layout_.AddImage(spec, "example.com/bad:1");
  ExpectFailure(5, {"unpack", "example.com/bad:1", work_.At("root"), "--layout", layout_.directory()}, "missing",
                User::kOrdinary);
}

TEST_F(SluicectlUserTest, ADirectoryOfSomebodyElseIsRefusedInOneLine) {
  const std::string directory = work_.MakeDirectory("roots");
  ASSERT_EQ(chmod(directory.c_str(), 0755), 0);
  ExpectFailure(4, UnpackArguments(directory + "/new"), directory, User::kOrdinary);
  EXPECT_EQ(Sluicectl(UnpackArguments(directory + "/new"), User::kRoot).code, 0);
}

}  // namespace
}  // namespace sluice
