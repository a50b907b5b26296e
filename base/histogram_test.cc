#include "base/histogram.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(DurationHistogramTest, ABoundBelongsToTheIntervalThatItEnds) {
  DurationHistogram histogram;
  histogram.Observe(absl::Milliseconds(1));
  histogram.Observe(absl::Microseconds(1001));
  histogram.Observe(absl::Seconds(300));
  histogram.Observe(absl::Seconds(301));
  EXPECT_EQ(histogram.counts[0], 1);
  EXPECT_EQ(histogram.counts[1], 1);
  EXPECT_EQ(histogram.counts[kDurationBounds.size() - 1], 1);
  EXPECT_EQ(histogram.counts[kDurationBounds.size()], 1);
  EXPECT_EQ(histogram.Count(), 4);
  EXPECT_NEAR(histogram.seconds, 601.002001, 1e-9);
}

TEST(DurationHistogramTest, AClockThatWasSetBackMakesNoTime) {
  DurationHistogram histogram;
  histogram.Observe(absl::Seconds(-5));
  EXPECT_EQ(histogram.counts[0], 1);
  EXPECT_EQ(histogram.seconds, 0);
}

}  // namespace
}  // namespace sluice
