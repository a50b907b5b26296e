#include "snapshotter/fill/fill_ledger.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/text_reader.h"

namespace sluice {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

const PlannedBlob kBlob = {Digest::Of("blob"), 10};

TEST(FillLedgerTest, AFillIsFollowedThroughItsStages) {
  FillLedger ledger;
  auto page = ledger.Begin("r.lan/app:1", {kBlob});
  FillInProgress fill = ledger.InProgress().at(0);
  EXPECT_EQ(fill.image, "r.lan/app:1");
  EXPECT_EQ(fill.digest, kBlob.digest.ToString());
  EXPECT_EQ(fill.stage, FillStage::kQueued);
  EXPECT_EQ(fill.strategy, Strategy::kDefer);
  EXPECT_EQ(fill.total_bytes, 10);

  page->QueuedForDownload();
  EXPECT_EQ(ledger.InProgress()[0].stage, FillStage::kQueuedForDownload);

  const absl::Time before = absl::Now();
  page->Reading(Strategy::kCached, {Digest::Of("another"), std::nullopt});
  ASSERT_TRUE(testing::ReadToEnd(*page->Metered(std::make_unique<testing::TextReader>("12345"))).ok());
  fill = ledger.InProgress()[0];
  EXPECT_EQ(fill.stage, FillStage::kReading);
  EXPECT_EQ(fill.strategy, Strategy::kCached);
  EXPECT_EQ(fill.digest, Digest::Of("another").ToString());
  EXPECT_EQ(fill.total_bytes, std::nullopt);
  EXPECT_EQ(fill.bytes, 5);
  EXPECT_GE(fill.started, before);

  page->Settling();
  EXPECT_EQ(ledger.InProgress()[0].stage, FillStage::kSettling);
  page.reset();
  EXPECT_THAT(ledger.InProgress(), IsEmpty());
  EXPECT_THAT(ledger.Filled(), IsEmpty()) << "it was never put in place";
}

TEST(FillLedgerTest, ASecondWayIsCountedFromItsStart) {
  FillLedger ledger;
  const auto page = ledger.Begin("", {});
  page->Reading(Strategy::kLayout, kBlob);
  ASSERT_TRUE(testing::ReadToEnd(*page->Metered(std::make_unique<testing::TextReader>("12345"))).ok());
  page->GaveUp(Strategy::kLayout, absl::DataLossError("damaged"));
  page->Reading(Strategy::kStream, kBlob);
  EXPECT_EQ(ledger.InProgress()[0].bytes, 0);
  EXPECT_EQ(ledger.InProgress()[0].strategy, Strategy::kStream);
}

TEST(FillLedgerTest, TheOldestIsFirst) {
  FillLedger ledger;
  auto first = ledger.Begin("1", {});
  const auto second = ledger.Begin("2", {});
  const auto third = ledger.Begin("3", {});
  first.reset();
  const std::vector<FillInProgress> fills = ledger.InProgress();
  ASSERT_THAT(fills, SizeIs(2));
  EXPECT_EQ(fills[0].image, "2");
  EXPECT_EQ(fills[1].image, "3");
}

TEST(FillLedgerTest, CountsByStrategyAndByReason) {
  FillLedger ledger;
  for (const int64_t bytes : {3, 4}) {
    const auto page = ledger.Begin("", {});
    page->GaveUp(Strategy::kLayout, absl::DataLossError(absl::StrCat("damaged ", bytes)));
    page->Filled({.layer_id = bytes,
                  .strategy = Strategy::kStream,
                  .source = BlobSource::kLocalRegistry,
                  .bytes = bytes,
                  .busy = absl::Seconds(bytes)});
  }
  ledger.Begin("", {})->Filled(
      {.layer_id = 9, .strategy = Strategy::kLayout, .source = BlobSource::kStore, .bytes = 5});

  const std::map<Strategy, FillCount> filled = ledger.Filled();
  ASSERT_THAT(filled, SizeIs(2));
  EXPECT_EQ(filled.at(Strategy::kStream).layers, 2);
  EXPECT_EQ(filled.at(Strategy::kStream).bytes, 7);
  EXPECT_EQ(filled.at(Strategy::kStream).source_bytes,
            (std::map<BlobSource, int64_t>{{BlobSource::kLocalRegistry, 7}}));
  EXPECT_EQ(filled.at(Strategy::kStream).seconds.Count(), 2);
  EXPECT_EQ(filled.at(Strategy::kStream).seconds.seconds, 7);
  EXPECT_EQ(filled.at(Strategy::kLayout).bytes, 5);

  const std::vector<FallbackCount> fallbacks = ledger.Fallbacks();
  ASSERT_THAT(fallbacks, SizeIs(1));
  EXPECT_EQ(fallbacks[0].strategy, Strategy::kLayout);
  EXPECT_EQ(fallbacks[0].reason, FallbackReason::kCorrupt);
  EXPECT_EQ(fallbacks[0].count, 2);
  EXPECT_EQ(fallbacks[0].last, "damaged 4");
}

TEST(FillLedgerTest, ALayerIsNewToTheFirstWhoClaimsIt) {
  FillLedger ledger;
  EXPECT_EQ(ledger.Claim(7), std::nullopt);
  ledger.Begin("", {})->Filled({.layer_id = 7, .strategy = Strategy::kCached});
  EXPECT_EQ(ledger.Claim(7), Strategy::kCached);
  EXPECT_EQ(ledger.Claim(7), std::nullopt);
}

TEST(FillLedgerTest, CountsByStage) {
  FillLedger ledger;
  const auto queued = ledger.Begin("", {});
  const auto first = ledger.Begin("", {});
  const auto second = ledger.Begin("", {});
  first->Reading(Strategy::kLayout, kBlob);
  second->Reading(Strategy::kLayout, kBlob);
  EXPECT_EQ(ledger.Stages(), (std::map<FillStage, int64_t>{{FillStage::kQueued, 1}, {FillStage::kReading, 2}}));
}

TEST(FillLedgerTest, ThreadsNoteWhileAnotherReads) {
  FillLedger ledger;
  std::vector<std::thread> fills;
  for (int i = 0; i < 4; ++i) {
    fills.emplace_back([&ledger] {
      for (int k = 0; k < 200; ++k) {
        const auto page = ledger.Begin("image", {kBlob});
        page->Reading(Strategy::kLayout, kBlob);
        EXPECT_TRUE(testing::ReadToEnd(*page->Metered(std::make_unique<testing::TextReader>("1234567890")), 3).ok());
        page->Filled({.layer_id = k, .strategy = Strategy::kLayout, .bytes = 10});
      }
    });
  }
  for (int k = 0; k < 200; ++k) {
    for (const FillInProgress& fill : ledger.InProgress()) EXPECT_LE(fill.bytes, 10);
  }
  for (std::thread& fill : fills) fill.join();
  EXPECT_EQ(ledger.Filled().at(Strategy::kLayout).layers, 800);
  EXPECT_THAT(ledger.InProgress(), IsEmpty());
}

}  // namespace
}  // namespace sluice
