#include "snapshotter/path_layout.h"

#include <limits>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

TEST(PathLayoutTest, PathsAreBelowTheRoot) {
  ASSERT_OK_AND_ASSIGN(const PathLayout layout, PathLayout::ForRoot("/var//lib/sluice/"));
  EXPECT_EQ(layout.root(), "/var/lib/sluice");
  EXPECT_EQ(layout.DatabasePath(), "/var/lib/sluice/sluice.db");
  EXPECT_EQ(layout.CachePath(), "/var/lib/sluice/cache");
  EXPECT_EQ(layout.FsPath(12), "/var/lib/sluice/snapshots/12/fs");
  EXPECT_EQ(layout.WorkPath(12), "/var/lib/sluice/snapshots/12/work");
}

struct BadRoot {
  const char* name;
  std::string root;
  const char* cause;
};

class PathLayoutBadRootTest : public ::testing::TestWithParam<BadRoot> {};

TEST_P(PathLayoutBadRootTest, IsRefused) {
  EXPECT_THAT(PathLayout::ForRoot(GetParam().root),
              testing::StatusIs(absl::StatusCode::kInvalidArgument, GetParam().cause));
}

INSTANTIATE_TEST_SUITE_P(All, PathLayoutBadRootTest,
                         ::testing::Values(BadRoot{"Empty", "", "absolute"}, BadRoot{"Relative", "var/lib", "absolute"},
                                           BadRoot{"Slash", "/", "/ can't"}, BadRoot{"Dots", "/a/../b", "\"..\""},
                                           BadRoot{"Dot", "/a/./b", "\".\""}, BadRoot{"Comma", "/a,b", "comma"},
                                           BadRoot{"Colon", "/a:b", "colon"},
                                           BadRoot{"Backslash", "/a\\b", "backslash"},
                                           BadRoot{"Newline", "/a\nb", "newline"},
                                           BadRoot{"Long", "/" + std::string(1024, 'a'), "1024"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(PathLayoutTest, SnapshotDirectoryNamesParseBackAndNothingElseDoes) {
  for (const int64_t id : {int64_t{1}, int64_t{42}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(ParseSnapshotDirectoryName(SnapshotDirectoryName(id)), id);
  }
  for (const char* name : {"", "0", "-1", "01", "+1", " 1", "1 ", "1a", "a", "9223372036854775808", "new-1"}) {
    EXPECT_EQ(ParseSnapshotDirectoryName(name), std::nullopt) << name;
  }
}

TEST(PathLayoutTest, FsPathsParseBackAndNothingElseDoes) {
  const PathLayout layout = PathLayout::ForRoot("/r").value();
  EXPECT_EQ(layout.ParseFsPath(layout.FsPath(12)), 12);
  for (const char* path : {"", "/r/snapshots/12", "/r/snapshots/12/work", "/r/snapshots/12/fs/", "/r/snapshots//12/fs",
                           "/r/snapshots/../snapshots/12/fs", "/r/snapshots/012/fs", "/r/snapshots/12/fs/fs",
                           "/q/snapshots/12/fs", "r/snapshots/12/fs", "/r/new-1/fs", "/r/snapshots/12/fs:/x"}) {
    EXPECT_EQ(layout.ParseFsPath(path), std::nullopt) << path;
  }
}

TEST(PathLayoutTest, StagingAndTrashNames) {
  EXPECT_EQ(StagingName(0xab), "new-00000000000000ab");
  EXPECT_TRUE(IsStagingName(StagingName(1)));
  EXPECT_FALSE(IsStagingName("snapshots"));
  EXPECT_EQ(TrashName("7", 0xab), "7-00000000000000ab");
}

}  // namespace
}  // namespace sluice
