#include "registry/client/retry_policy.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "registry/client/fake_retry_clock.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using std::chrono::milliseconds;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);  // Tue, 14 Nov 2023 22:13:20 GMT

struct RetryAfterCase {
  const char* text;
  int64_t want_ms;  // -1: none
};

TEST(ParseRetryAfterTest, TakesSecondsAndDates) {
  const RetryAfterCase cases[] = {
      {"0", 0},
      {"120", 120'000},
      {" 5 ", 5'000},
      {"99999999999999999999", 10'000'000'000},
      {"Tue, 14 Nov 2023 22:13:50 GMT", 30'000},
      {"Tuesday, 14-Nov-23 22:13:50 GMT", 30'000},
      {"Tue Nov 14 22:13:50 2023", 30'000},
      {"Tue, 14 Nov 2023 22:13:20 GMT", 0},
      {"Mon, 13 Nov 2023 22:13:20 GMT", 0},
      {"Tue, 14 Nov 9999 22:13:20 GMT", 10'000'000'000},
      {"", -1},
      {"-1", -1},
      {"1.5", -1},
      {"5 s", -1},
      {"soon", -1},
  };
  for (const RetryAfterCase& c : cases) {
    EXPECT_EQ(ParseRetryAfter(c.text, kNow).value_or(milliseconds(-1)).count(), c.want_ms) << c.text;
  }
}

class AttemptsTest : public ::testing::Test {
 protected:
  std::vector<int64_t> WaitedSeconds() {
    std::vector<int64_t> seconds;
    for (const milliseconds wait : clock_.waits()) seconds.push_back(wait.count() / 1000);
    return seconds;
  }

  const RetryPolicy policy_ = {.max_attempts = 6,
                               .first_delay = milliseconds(1000),
                               .max_delay = milliseconds(5000),
                               .max_retry_after = milliseconds(9000)};
  FakeRetryClock clock_;
  Attempts attempts_{policy_, clock_, nullptr};
};

TEST_F(AttemptsTest, DelaysDoubleUpToABoundAndEnd) {
  const absl::Status failure = MarkTransient(absl::UnavailableError("busy"));
  for (int i = 0; i < 5; ++i) EXPECT_OK(attempts_.Again(failure));
  EXPECT_THAT(attempts_.Again(failure), StatusIs(absl::StatusCode::kUnavailable, "busy (attempt 6, the last)"));
  EXPECT_EQ(WaitedSeconds(), (std::vector<int64_t>{1, 2, 4, 5, 5}));
}

TEST_F(AttemptsTest, JitterTakesAtMostAHalf) {
  clock_.set_jitter(0.999);
  EXPECT_OK(attempts_.Again(MarkTransient(absl::UnavailableError("busy"))));
  EXPECT_GE(clock_.waits().back(), milliseconds(500));
  EXPECT_LE(clock_.waits().back(), milliseconds(501));
}

TEST_F(AttemptsTest, RetryAfterIsHonouredWithinItsBound) {
  EXPECT_OK(attempts_.Again(MarkTransient(absl::UnavailableError("busy"), milliseconds(7000))));
  EXPECT_OK(attempts_.Again(MarkTransient(absl::UnavailableError("busy"), milliseconds(3'600'000))));
  EXPECT_OK(attempts_.Again(MarkTransient(absl::UnavailableError("busy"), milliseconds(10))));
  EXPECT_EQ(WaitedSeconds(), (std::vector<int64_t>{7, 9, 4}));
}

TEST_F(AttemptsTest, ProgressStartsAnew) {
  const absl::Status failure = MarkTransient(absl::UnavailableError("busy"));
  for (int i = 0; i < 20; ++i) {
    EXPECT_OK(attempts_.Again(failure));
    attempts_.NoteProgress(1);
  }
  EXPECT_EQ(clock_.waits().back(), milliseconds(1000));
}

TEST_F(AttemptsTest, OnlyWhatMayPassIsTriedAgain) {
  EXPECT_THAT(attempts_.Again(absl::UnavailableError("refused")), StatusIs(absl::StatusCode::kUnavailable, "refused"));
  EXPECT_THAT(Attempts(policy_, clock_, nullptr).Again(absl::NotFoundError("no")),
              StatusIs(absl::StatusCode::kNotFound));
  // A registry that has served half a blob may come back.
  attempts_.NoteProgress(1);
  EXPECT_OK(attempts_.Again(absl::UnavailableError("refused")));
  EXPECT_THAT(attempts_.Again(absl::NotFoundError("no")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AttemptsTest, CancelledWhileWaiting) {
  Cancellation cancellation;
  cancellation.Cancel();
  const std::shared_ptr<const RetryClock> clock = RetryClock::Real();
  Attempts attempts(policy_, *clock, &cancellation);
  EXPECT_THAT(attempts.Again(MarkTransient(absl::UnavailableError("busy"), milliseconds(60'000))),
              StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace sluice
