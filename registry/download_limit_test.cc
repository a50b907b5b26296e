#include "registry/download_limit.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/text_reader.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;
using testing::ReadToEnd;
using testing::StatusIs;
using testing::TextReader;

DownloadLimit::Open Opens(std::string text) {
  return [text = std::move(text)]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    return std::make_unique<TextReader>(text);
  };
}

TEST(DownloadLimitTest, NobodyWaitsWithoutBounds) {
  const auto limit = DownloadLimit::Create(0, 0);
  ASSERT_OK_AND_ASSIGN(const auto first, limit->Start(Opens("first"), nullptr));
  ASSERT_OK_AND_ASSIGN(const auto second, limit->Start(Opens("second"), nullptr));
  EXPECT_EQ(*ReadToEnd(*first), "first");
  EXPECT_EQ(*ReadToEnd(*second), "second");
}

TEST(DownloadLimitTest, NextStartsWhenOneEnds) {
  const auto limit = DownloadLimit::Create(1, 0);
  auto first = limit->Start(Opens("first"), nullptr);
  ASSERT_OK(first.status());
  std::atomic<bool> opened{false};
  std::thread other([&] {
    const auto second = limit->Start(
        [&]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
          opened = true;
          return std::make_unique<TextReader>("second");
        },
        nullptr);
    EXPECT_OK(second.status());
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  EXPECT_FALSE(opened) << "two at once";
  first->reset();
  other.join();
  EXPECT_TRUE(opened);
}

TEST(DownloadLimitTest, TurnOfAnOpenThatFailedIsFree) {
  const auto limit = DownloadLimit::Create(1, 0);
  const auto failed = limit->Start(
      []() -> absl::StatusOr<std::unique_ptr<ByteReader>> { return absl::UnavailableError("down"); }, nullptr);
  EXPECT_THAT(failed.status(), StatusIs(absl::StatusCode::kUnavailable, "down"));
  EXPECT_OK(limit->Start(Opens("next"), nullptr).status());
}

TEST(DownloadLimitTest, WaitForATurnCanBeCancelled) {
  const auto limit = DownloadLimit::Create(1, 0);
  ASSERT_OK_AND_ASSIGN(const auto first, limit->Start(Opens("first"), nullptr));
  Cancellation cancellation;
  std::thread canceller([&] { cancellation.Cancel(); });
  EXPECT_THAT(limit->Start(Opens("second"), &cancellation).status(), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
}

TEST(DownloadLimitTest, RateHoldsForAllTogether) {
  const auto limit = DownloadLimit::Create(0, 1 << 20);
  const auto start = steady_clock::now();
  const auto read = [&] {
    const auto reader = limit->Start(Opens(std::string(256 * 1024, 'x')), nullptr);
    ASSERT_OK(reader.status());
    EXPECT_EQ(ReadToEnd(**reader)->size(), 256u * 1024);
  };
  std::thread other(read);
  read();
  other.join();
  // Half a MiB at a MiB a second.
  EXPECT_GE(steady_clock::now() - start, std::chrono::milliseconds(450));
}

TEST(DownloadLimitTest, WaitForTheRateCanBeCancelled) {
  const auto limit = DownloadLimit::Create(0, 1);  // a byte a second
  Cancellation cancellation;
  ASSERT_OK_AND_ASSIGN(const auto reader, limit->Start(Opens(std::string(1000, 'x')), &cancellation));
  std::thread canceller([&] { cancellation.Cancel(); });
  EXPECT_THAT(ReadToEnd(*reader).status(), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
}

}  // namespace
}  // namespace sluice
