// What the ledger says of fills, while they run and afterwards.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using testing::Answer;
using testing::BuiltImage;
using testing::Eventually;
using ::testing::IsEmpty;
using testing::Plain;
using ::testing::SizeIs;

class FillerLedgerTest : public testing::FillerFixture {
 protected:
  FillStage StageOf(size_t fill) {
    const std::vector<FillInProgress> fills = ledger_->InProgress();
    return fills.size() > fill ? fills[fill].stage : FillStage::kQueued;
  }
};

TEST_F(FillerLedgerTest, LayersAreFollowedUntilTheyAreInPlace) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);

  const std::vector<FillInProgress> fills = ledger_->InProgress();
  ASSERT_THAT(fills, SizeIs(2));
  EXPECT_EQ(fills[0].digest, image.layers[0].digest.ToString());
  EXPECT_EQ(fills[0].image, "172.30.0.1:5000/app:1");
  EXPECT_EQ(fills[0].stage, FillStage::kReading);
  EXPECT_EQ(fills[0].strategy, Strategy::kLayout);
  EXPECT_EQ(fills[0].bytes, 0);
  EXPECT_EQ(fills[0].total_bytes, image.layers[0].size);
  EXPECT_EQ(fills[1].stage, FillStage::kQueued);

  store_->Open(image.layers[0].digest);
  ASSERT_OK(answer.Wait().status());
  EXPECT_TRUE(Eventually([this] { return ledger_->InProgress().empty(); }));
  const FillCount count = ledger_->Filled()[Strategy::kLayout];
  EXPECT_EQ(count.layers, 2);
  EXPECT_EQ(count.bytes, image.layers[0].size + image.layers[1].size);
  EXPECT_THAT(ledger_->Fallbacks(), IsEmpty());
}

TEST_F(FillerLedgerTest, ALayerThatWaitsForTheOneBelowIsSettling) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), testing::Dependent("b", "a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_TRUE(Eventually([this] { return StageOf(1) == FillStage::kSettling; }));
  store_->Open(image.layers[0].digest);
  ASSERT_OK(answer.Wait().status());
}

TEST_F(FillerLedgerTest, AWayThatDoesNotHoldIsCounted) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  FlipByte(image.layers[0].digest);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_FALSE(answer.Wait().ok());
  const std::vector<FallbackCount> fallbacks = ledger_->Fallbacks();
  ASSERT_THAT(fallbacks, SizeIs(1));
  EXPECT_EQ(fallbacks[0].strategy, Strategy::kLayout);
  EXPECT_EQ(fallbacks[0].reason, FallbackReason::kCorrupt);
  EXPECT_THAT(ledger_->Filled(), IsEmpty());
  EXPECT_THAT(ledger_->InProgress(), IsEmpty()) << "a fill has ended before its asker hears of it";
}

}  // namespace
}  // namespace sluice
