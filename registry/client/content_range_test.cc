#include "registry/client/content_range.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

std::string Show(const std::optional<ContentRange>& range) {
  const auto number = [](std::optional<int64_t> value) { return value.has_value() ? absl::StrCat(*value) : "*"; };
  if (!range.has_value()) return "none";
  return absl::StrCat(number(range->first), " ", number(range->last), " ", number(range->total));
}

struct Case {
  const char* text;
  const char* want;  // first, last, total
};

TEST(ContentRangeTest, Parses) {
  const Case cases[] = {
      {"bytes 0-499/1234", "0 499 1234"},
      {"bytes 500-1233/1234", "500 1233 1234"},
      {"bytes 0-0/1", "0 0 1"},
      {"bytes 7-9/*", "7 9 *"},
      {"bytes */1234", "* * 1234"},
      {"bytes */0", "* * 0"},
      {"Bytes  0-1/2", "0 1 2"},
      {" bytes 0-1/2 ", "0 1 2"},
      {"bytes 9223372036854775806-9223372036854775806/9223372036854775807",
       "9223372036854775806 9223372036854775806 9223372036854775807"},
      {"", "none"},
      {"bytes", "none"},
      {"bytes=0-1/2", "none"},
      {"bytes 0-1", "none"},
      {"bytes 0/2", "none"},
      {"bytes -1/2", "none"},
      {"bytes 1-/2", "none"},
      {"bytes */*", "none"},
      {"bytes 5-4/10", "none"},
      {"bytes 0-10/10", "none"},
      {"bytes +0-1/2", "none"},
      {"bytes 0--1/2", "none"},
      {"bytes 0- 1/2", "none"},
      {"bytes 0-1/2 3", "none"},
      {"bytes 0-9223372036854775808/*", "none"},
      {"items 0-1/2", "none"},
  };
  for (const Case& c : cases) EXPECT_EQ(Show(ParseContentRange(c.text)), c.want) << c.text;
}

}  // namespace
}  // namespace sluice
