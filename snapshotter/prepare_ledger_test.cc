#include "snapshotter/prepare_ledger.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

// "strategy outcome count", in order.
std::vector<std::string> Counts(const PrepareLedger& ledger) {
  std::vector<std::string> lines;
  for (const PrepareCount& count : ledger.Prepares()) {
    lines.push_back(absl::StrCat(count.strategy, " ", PrepareOutcomeName(count.outcome), " ", count.count));
  }
  return lines;
}

TEST(PrepareLedgerTest, AnswersByStrategyAndOutcome) {
  PrepareLedger ledger;
  for (int i = 0; i < 7; ++i) ledger.Began();
  EXPECT_EQ(ledger.InFlight(), 7);
  const absl::Status exists = absl::AlreadyExistsError("x");
  ledger.Answered("layout", exists, absl::Seconds(2));
  ledger.Answered("layout", exists, absl::Seconds(3));
  ledger.Answered(kGotNothing, absl::OkStatus(), absl::ZeroDuration());
  ledger.Answered(kGotNothing, exists, absl::ZeroDuration());  // the key is taken
  ledger.Answered(kGotDeferred, absl::OkStatus(), absl::Seconds(1));
  ledger.Answered(kGotNothing, absl::CancelledError("gone"), absl::Seconds(1));
  EXPECT_EQ(ledger.InFlight(), 1);
  EXPECT_THAT(Counts(ledger),
              ElementsAre("defer mounts 1", "layout provided 2", "none mounts 1", "none cancelled 1", "none failed 1"));
  EXPECT_EQ(ledger.Held().at("layout").Count(), 2);
  EXPECT_EQ(ledger.Held().at("layout").seconds, 5);
}

TEST(PrepareLedgerTest, DeferralsByReason) {
  PrepareLedger ledger;
  ledger.Deferred(WithReason(absl::NotFoundError("first"), FallbackReason::kUnknownImage));
  ledger.Deferred(WithReason(absl::NotFoundError("second"), FallbackReason::kUnknownImage));
  ledger.Deferred(absl::UnavailableError("no answer"));
  const std::vector<DeferralCount> deferrals = ledger.Deferrals();
  ASSERT_EQ(deferrals.size(), 2);
  EXPECT_EQ(deferrals[0].reason, FallbackReason::kUnknownImage);
  EXPECT_EQ(deferrals[0].count, 2);
  EXPECT_EQ(deferrals[0].last, "second");
  EXPECT_EQ(deferrals[1].reason, FallbackReason::kUnreachable);
}

}  // namespace
}  // namespace sluice
