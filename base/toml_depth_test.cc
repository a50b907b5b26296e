#include "base/toml_depth.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using testing::StatusIs;

std::string Dotted(int dots) {
  std::string key = "a";
  for (int i = 0; i < dots; ++i) key += ".a";
  return key;
}

TEST(TomlDepthTest, KeysAreBounded) {
  EXPECT_OK(CheckTomlDepth(Dotted(128) + " = 1\n" + Dotted(128) + " = 2\n"));
  EXPECT_THAT(CheckTomlDepth("x = 1\n\n" + Dotted(129) + " = 1\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, "3: more than 128 dots"));
  EXPECT_THAT(CheckTomlDepth("[" + Dotted(129) + "]"), StatusIs(absl::StatusCode::kInvalidArgument, "1: "));
  std::string quoted = "\"a\"";
  for (int i = 0; i < 129; ++i) quoted += ".\"a\"";
  EXPECT_THAT(CheckTomlDepth(quoted + " = 1"), StatusIs(absl::StatusCode::kInvalidArgument, "1: "));
}

// A list of addresses on one line is nothing deep.
TEST(TomlDepthTest, StringsAndCommentsDoNotCount) {
  const std::string many(1000, '.');
  for (const std::string& text :
       {"\"" + many + "\"", "'" + many + "'", "\"\"\"\n" + many + "\n\"\"\"", "'''\n" + many + "\n'''", "1 # " + many,
        "\"\\\"" + many + "\"", "\"\"\"" + many + "\"\"\"\"\""}) {
    EXPECT_OK(CheckTomlDepth("x = " + text + "\ny = 1\n")) << text.substr(0, 10);
  }
}

TEST(TomlDepthTest, WhatFollowsAStringCounts) {
  const std::string deep = Dotted(129) + " = 1\n";
  for (const std::string& text :
       {std::string("'\\'"), std::string("\"\\\\\""), std::string("\"\"\"a\"\"\"\"\""), std::string("'''a''''"),
        std::string("\"\""), std::string("''''''"), std::string("\"not closed"), std::string("\"\"\"\n\n\"\"\"")}) {
    EXPECT_THAT(CheckTomlDepth(absl::StrCat("x = ", text, "\n", deep)),
                StatusIs(absl::StatusCode::kInvalidArgument, "dots in a line"))
        << text;
  }
  EXPECT_THAT(CheckTomlDepth("x = \"\"\"\n\n\"\"\"\n" + deep), StatusIs(absl::StatusCode::kInvalidArgument, "4: "));
}

}  // namespace
}  // namespace sluice
