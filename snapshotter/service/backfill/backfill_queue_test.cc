#include "snapshotter/service/backfill/backfill_queue.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::Optional;

const BackfillPlace kPlace{"default", "sluice"};
const BackfillPlace kOther{"k8s.io", "sluice"};

std::string Chain(char c) { return absl::StrCat("sha256:", std::string(64, c)); }

class BackfillQueueTest : public ::testing::Test {
 protected:
  // One round at once when it is due; the time moves on to it.
  bool Round(const std::set<std::string>& tops, bool whole = true) {
    now_ = std::max(now_, queue_.NextDue());
    EXPECT_THAT(queue_.Due(now_), Optional(kPlace));
    return queue_.Done(kPlace, tops, whole, now_);
  }
  bool IsEmpty() const { return queue_.NextDue() == absl::InfiniteFuture(); }

  BackfillQueue queue_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

TEST_F(BackfillQueueTest, PullIsOverWhenAnImageHasItsLastLayer) {
  queue_.NotePrepare(kPlace, "", Chain('a'), true, now_);
  EXPECT_EQ(queue_.Due(now_), std::nullopt);
  queue_.NotePrepare(kPlace, Chain('a'), Chain('b'), true, now_);
  queue_.NotePrepare(kPlace, Chain('b') + "-0123456789ab", Chain('c'), true, now_);
  EXPECT_TRUE(Round({Chain('b')}));
  EXPECT_FALSE(IsEmpty()) << "another image, whose top is in the middle of this one";
  EXPECT_TRUE(Round({Chain('b'), Chain('c')}));
  EXPECT_TRUE(IsEmpty());
}

TEST_F(BackfillQueueTest, LastLayersMayBeTheClientsOwn) {
  queue_.NotePrepare(kPlace, "", Chain('a'), true, now_);
  queue_.NotePrepare(kPlace, Chain('a'), Chain('b'), false, now_);
  queue_.NotePrepare(kPlace, absl::StrCat("default/7/", Chain('b')), Chain('c'), false, now_);
  EXPECT_TRUE(Round({Chain('c')}));
  EXPECT_TRUE(IsEmpty());
}

TEST_F(BackfillQueueTest, PullsWithoutAPartOfOursAreNotLookedAt) {
  queue_.NotePrepare(kPlace, "", Chain('a'), false, now_);
  EXPECT_TRUE(IsEmpty());
  queue_.NotePrepare(kPlace, "", Chain('b'), true, now_);
  queue_.NotePrepare(kPlace, "", Chain('c'), false, now_);
  EXPECT_TRUE(Round({Chain('b')}));
  EXPECT_TRUE(IsEmpty());
}

TEST_F(BackfillQueueTest, RoundsBecomeRarerAndEnd) {
  queue_.NotePrepare(kPlace, "", Chain('a'), true, now_);
  const absl::Time start = now_;
  absl::Duration last = absl::ZeroDuration();
  for (int round = 1; round < BackfillQueue::kMaxRounds; ++round) {
    const absl::Time before = now_;
    EXPECT_TRUE(Round({}));
    EXPECT_GE(now_ - before, round == 1 ? BackfillQueue::kFirstDelay : last);
    EXPECT_LE(now_ - before, BackfillQueue::kLastDelay);
    last = now_ - before;
  }
  EXPECT_FALSE(Round({})) << "given up";
  EXPECT_TRUE(IsEmpty());
  EXPECT_GT(now_ - start, absl::Hours(1));
}

TEST_F(BackfillQueueTest, PrepareBeginsTheRoundsAnew) {
  queue_.NotePrepare(kPlace, "", Chain('a'), true, now_);
  for (int round = 0; round < 10; ++round) EXPECT_TRUE(Round({}));
  queue_.NotePrepare(kPlace, Chain('a'), Chain('b'), true, now_);
  EXPECT_EQ(queue_.NextDue(), now_ + BackfillQueue::kFirstDelay);
  for (int round = 1; round < BackfillQueue::kMaxRounds; ++round) EXPECT_TRUE(Round({}));
}

TEST_F(BackfillQueueTest, WhatIsNotWholeIsLookedAtAgain) {
  queue_.Add(kPlace, now_);
  EXPECT_TRUE(Round({}, /*whole=*/false));
  EXPECT_FALSE(IsEmpty());
  EXPECT_TRUE(Round({}, /*whole=*/true));
  EXPECT_TRUE(IsEmpty());
}

TEST_F(BackfillQueueTest, PlacesAreApartAndTheOldestGoesFirst) {
  queue_.NotePrepare(kOther, "", Chain('a'), true, now_);
  queue_.NotePrepare(kPlace, "", Chain('a'), true, now_ + absl::Milliseconds(1));
  now_ += absl::Seconds(2);
  EXPECT_THAT(queue_.Due(now_), Optional(kOther));
  EXPECT_TRUE(queue_.Done(kOther, {Chain('a')}, true, now_));
  EXPECT_THAT(queue_.Due(now_), Optional(kPlace));
}

TEST_F(BackfillQueueTest, PostponingCountsForNothing) {
  queue_.Add(kPlace, now_);
  for (int i = 0; i < 100; ++i) {
    now_ = queue_.NextDue();
    queue_.Postpone(kPlace, now_);
  }
  EXPECT_GT(queue_.NextDue(), now_);
  EXPECT_TRUE(Round({}));
  EXPECT_TRUE(IsEmpty());
}

}  // namespace
}  // namespace sluice
