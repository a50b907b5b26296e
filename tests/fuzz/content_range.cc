#include "registry/client/content_range.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {

SLUICE_FUZZ_TARGET(input) {
  const std::optional<ContentRange> range = ParseContentRange(input);
  if (!range.has_value()) return;
  ASSERT_EQ(range->first.has_value(), range->last.has_value());
  EXPECT_TRUE(range->first.has_value() || range->total.has_value());
  if (range->first.has_value()) {
    EXPECT_GE(*range->first, 0);
    EXPECT_GE(*range->last, *range->first);
  }
  if (range->total.has_value()) {
    EXPECT_GE(*range->total, 0);
    if (range->last.has_value()) {
      EXPECT_GT(*range->total, *range->last);
    }
  }
  const std::string text =
      absl::StrCat("bytes ", range->first.has_value() ? absl::StrCat(*range->first, "-", *range->last) : "*", "/",
                   range->total.has_value() ? absl::StrCat(*range->total) : "*");
  const std::optional<ContentRange> again = ParseContentRange(text);
  ASSERT_TRUE(again.has_value()) << text;
  EXPECT_EQ(again->first, range->first);
  EXPECT_EQ(again->last, range->last);
  EXPECT_EQ(again->total, range->total);
}

}  // namespace sluice::testing
