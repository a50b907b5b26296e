#include "snapshotter/background_loop.h"

#include <atomic>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr std::chrono::hours kNever(24);

TEST(BackgroundLoopTest, RunRoundWaitsForARoundThatBeginsAfterIt) {
  std::atomic<int> rounds{0};
  BackgroundLoop loop([&](const Cancellation&) { ++rounds; }, kNever);
  const Cancellation never;
  loop.RunRound(absl::Minutes(1), never);
  const int before = rounds;
  EXPECT_GE(before, 1);
  loop.RunRound(absl::Minutes(1), never);
  EXPECT_EQ(rounds, before + 1);
}

TEST(BackgroundLoopTest, WaitingIsBoundedAndCancellableAndTheRoundGoesOn) {
  std::atomic<bool> release{false};
  std::atomic<int> ended{0};
  BackgroundLoop loop(
      [&](const Cancellation&) {
        while (!release) absl::SleepFor(absl::Milliseconds(1));
        ++ended;
      },
      kNever);
  const Cancellation never;
  loop.RunRound(absl::Milliseconds(10), never);
  Cancellation cancelled;
  cancelled.Cancel();
  loop.RunRound(absl::Hours(1), cancelled);
  EXPECT_EQ(ended, 0);
  release = true;
  loop.RunRound(absl::Minutes(1), never);
  EXPECT_GE(ended, 1);
}

TEST(BackgroundLoopTest, EndingCancelsTheRound) {
  std::atomic<bool> cancelled{false};
  {
    std::atomic<bool> begun{false};
    const BackgroundLoop loop(
        [&](const Cancellation& stopping) {
          begun = true;
          while (!stopping.cancelled()) absl::SleepFor(absl::Milliseconds(1));
          cancelled = true;
        },
        kNever);
    while (!begun) absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_TRUE(cancelled);
}

TEST(BackgroundLoopTest, RunsByItself) {
  std::atomic<int> rounds{0};
  const BackgroundLoop loop([&](const Cancellation&) { ++rounds; }, std::chrono::milliseconds(1));
  while (rounds < 3) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace
}  // namespace sluice
