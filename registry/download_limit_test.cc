#include "registry/download_limit.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;
using testing::StatusIs;

class Text : public ByteReader {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t count = std::min(buffer.size(), text_.size() - at_);
    std::memcpy(buffer.data(), text_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  const std::string text_;
  size_t at_ = 0;
};

DownloadLimit::Open Opens(std::string text) {
  return [text = std::move(text)]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    return std::make_unique<Text>(text);
  };
}

absl::StatusOr<std::string> ReadAll(ByteReader& reader) {
  std::string all;
  std::string buffer(1 << 20, '\0');
  for (;;) {
    const absl::StatusOr<size_t> count = reader.Read(absl::MakeSpan(buffer));
    if (!count.ok()) return count.status();
    if (*count == 0) return all;
    all.append(buffer, 0, *count);
  }
}

TEST(DownloadLimitTest, NobodyWaitsWithoutBounds) {
  const auto limit = DownloadLimit::Create(0, 0);
  ASSERT_OK_AND_ASSIGN(const auto first, limit->Start(Opens("first"), nullptr));
  ASSERT_OK_AND_ASSIGN(const auto second, limit->Start(Opens("second"), nullptr));
  EXPECT_EQ(*ReadAll(*first), "first");
  EXPECT_EQ(*ReadAll(*second), "second");
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
          return std::make_unique<Text>("second");
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
    EXPECT_EQ(ReadAll(**reader)->size(), 256u * 1024);
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
  EXPECT_THAT(ReadAll(*reader).status(), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
}

}  // namespace
}  // namespace sluice
