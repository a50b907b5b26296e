#include "cmd/terminal.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(FormatBytesTest, RoundsToOneDigit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(999'949), "999.9 kB");
  EXPECT_EQ(FormatBytes(999'950), "1.0 MB");
  EXPECT_EQ(FormatBytes(150'200'000), "150.2 MB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<int64_t>::max()), "9.2 EB");
}

}  // namespace
}  // namespace sluice
