#include "unpack/entry_name.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace sluice {
namespace {

TEST(EntryNameTest, Normalizes) {
  const struct {
    const char* name;
    const char* want;
  } kCases[] = {
      {"a", "a"},
      {"a/b", "a/b"},
      {"./a/b", "a/b"},
      {"/a/b", "a/b"},
      {"a//b/", "a/b"},
      {"a/./b/.", "a/b"},
      {"", ""},
      {".", ""},
      {"./", ""},
      {"/", ""},
      {"..", ""},
      {"../..", ""},
      {"../a", "a"},
      {"a/..", ""},
      {"a/../b", "b"},
      {"a/b/../c", "a/c"},
      {"a/../../b", "b"},
      {"/../a/b", "a/b"},
      {"...", "..."},
      {"..a/.b", "..a/.b"},
      {"\xff/\xe9", "\xff/\xe9"},
  };
  for (const auto& test : kCases) {
    const auto got = NormalizeEntryName(test.name, 16);
    ASSERT_TRUE(got.ok()) << test.name;
    EXPECT_EQ(*got, test.want) << test.name;
  }
}

TEST(EntryNameTest, NulIsRefused) {
  const auto got = NormalizeEntryName(absl::string_view("a\0b", 3), 16);
  EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(got.status().message(), "the name contains a NUL byte"));
}

TEST(EntryNameTest, DepthIsBounded) {
  EXPECT_TRUE(NormalizeEntryName("a/b/c", 3).ok());
  EXPECT_TRUE(NormalizeEntryName("a/../a/../a/b/c", 3).ok());
  EXPECT_EQ(NormalizeEntryName("a/b/c/d", 3).status(),
            absl::InvalidArgumentError("entry a/b/c/d: more than 3 path components (max_depth)"));
}

TEST(EntryNameTest, SplitAndJoin) {
  EXPECT_EQ(SplitPath("a/b/c").first, "a/b");
  EXPECT_EQ(SplitPath("a/b/c").second, "c");
  EXPECT_EQ(SplitPath("c").first, "");
  EXPECT_EQ(SplitPath("c").second, "c");
  EXPECT_EQ(JoinPath("", "c"), "c");
  EXPECT_EQ(JoinPath("a/b", "c"), "a/b/c");
}

TEST(EntryNameTest, PrintableIsShortAndPlain) {
  EXPECT_EQ(PrintableName("a\nb\xff"), "a\\nb\\xff");
  EXPECT_LT(PrintableName(std::string(100000, 'x')).size(), 200u);
}

}  // namespace
}  // namespace sluice
