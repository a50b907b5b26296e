#include "unpack/whiteout.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(WhiteoutTest, Names) {
  const struct {
    const char* base;
    Whiteout::Kind kind;
    const char* name;
  } kCases[] = {
      {"a", Whiteout::Kind::kNone, ""},
      {".wh", Whiteout::Kind::kNone, ""},
      {".who", Whiteout::Kind::kNone, ""},
      {"a.wh.b", Whiteout::Kind::kNone, ""},
      {".wh.a", Whiteout::Kind::kName, "a"},
      {".wh..a", Whiteout::Kind::kName, ".a"},
      {".wh....", Whiteout::Kind::kName, "..."},
      {".wh..wh", Whiteout::Kind::kName, ".wh"},
      {".wh. ", Whiteout::Kind::kName, " "},
      {".wh..wh..opq", Whiteout::Kind::kOpaque, ""},
      {".wh..wh..opqx", Whiteout::Kind::kMetadata, ""},
      {".wh..wh.plnk", Whiteout::Kind::kMetadata, ""},
      {".wh..wh.aufs", Whiteout::Kind::kMetadata, ""},
      {".wh..wh.", Whiteout::Kind::kMetadata, ""},
  };
  for (const auto& test : kCases) {
    const auto got = ParseWhiteout(test.base);
    ASSERT_TRUE(got.ok()) << test.base;
    EXPECT_EQ(got->kind, test.kind) << test.base;
    EXPECT_EQ(got->name, test.name) << test.base;
  }
}

TEST(WhiteoutTest, NamesThatAreNotNamesAreRefused) {
  for (const char* base : {".wh.", ".wh..", ".wh..."}) {
    EXPECT_EQ(ParseWhiteout(base).status().code(), absl::StatusCode::kInvalidArgument) << base;
  }
}

}  // namespace
}  // namespace sluice
