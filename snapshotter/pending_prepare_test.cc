#include "snapshotter/pending_prepare.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using testing::StatusIs;

class PendingPrepareTest : public ::testing::Test {
 protected:
  int answers_ = 0;
  absl::Status answer_;
  PendingPrepare call_{[this](const absl::StatusOr<std::vector<Mount>>& mounts) {
    ++answers_;
    answer_ = mounts.status();
  }};
};

TEST_F(PendingPrepareTest, TheFirstAnswerStands) {
  ASSERT_TRUE(call_.Proceed());
  call_.Answer(absl::NotFoundError("first"));
  call_.Answer(absl::NotFoundError("second"));
  call_.Cancel();
  EXPECT_FALSE(call_.Proceed());
  EXPECT_EQ(answers_, 1);
  EXPECT_THAT(answer_, StatusIs(absl::StatusCode::kNotFound, "first"));
}

TEST_F(PendingPrepareTest, CancelWhileWaitingAnswersAtOnce) {
  ASSERT_TRUE(call_.Proceed());
  ASSERT_TRUE(call_.Wait());
  call_.Cancel();
  EXPECT_THAT(answer_, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(call_.cancellation()->cancelled());
  EXPECT_FALSE(call_.Proceed());
  EXPECT_EQ(answers_, 1);
}

TEST_F(PendingPrepareTest, CancelWhileWorkingTakesEffectWhenItWaits) {
  ASSERT_TRUE(call_.Proceed());
  call_.Cancel(absl::UnavailableError("stopping"));
  EXPECT_EQ(answers_, 0);
  EXPECT_TRUE(call_.cancellation()->cancelled());
  EXPECT_FALSE(call_.Wait());
  EXPECT_THAT(answer_, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(answers_, 1);
}

TEST_F(PendingPrepareTest, WorkThatEndsBeforeItWaitsHasItsOwnAnswer) {
  ASSERT_TRUE(call_.Proceed());
  call_.Cancel();
  call_.Answer(std::vector<Mount>());
  EXPECT_OK(answer_);
  EXPECT_EQ(answers_, 1);
}

}  // namespace
}  // namespace sluice
