// Callers that go away, and the end of the daemon.
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::Answer;
using testing::BuiltImage;
using testing::Dependent;
using testing::Eventually;
using testing::Plain;
using testing::StatusIs;

class FillerCancellationTest : public testing::FillerFixture {};

TEST_F(FillerCancellationTest, CancelledCallerHarmsNobody) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  auto cancellation = std::make_shared<Cancellation>();
  Answer cancelled, patient;
  Ask(cancelled, Jobs(image), std::vector<int64_t>(), cancellation);
  Ask(patient, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);
  const absl::Time start = absl::Now();
  cancellation->Cancel();
  EXPECT_THAT(cancelled.Wait(), StatusIs(StatusCode::kCancelled));
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(500));
  EXPECT_FALSE(patient.answered());
  store_->Open(image.layers[0].digest);
  EXPECT_OK(patient.Wait().status());
}

TEST_F(FillerCancellationTest, WorkThatNobodyWaitsForAnyMoreStops) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Dependent("b", "a"), Plain("c")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  auto cancellation = std::make_shared<Cancellation>();
  Answer answer;
  Ask(answer, Jobs(image), std::vector<int64_t>(), cancellation);
  store_->AwaitReader(image.layers[0].digest);
  cancellation->Cancel();
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kCancelled));
  store_->Open(image.layers[0].digest);
  ASSERT_TRUE(Eventually([&] { return directories_.leftovers() == 0; }));
  EXPECT_EQ(directories_.published(), 0);
  // The next one begins anew.
  Answer again;
  Ask(again, Jobs(image));
  EXPECT_OK(again.Wait().status());
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 3; }));
}

TEST_F(FillerCancellationTest, WhatAnAnsweredCallerStartedGoesOn) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b")}});
  store_->Close(image.layers[1].digest);
  StartFiller(1);
  auto cancellation = std::make_shared<Cancellation>();
  Answer answer;
  Ask(answer, Jobs(image), std::vector<int64_t>(), cancellation);
  ASSERT_OK(answer.Wait().status());
  cancellation->Cancel();
  store_->AwaitReader(image.layers[1].digest);
  store_->Open(image.layers[1].digest);
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 2; }));
}

TEST_F(FillerCancellationTest, ShutdownAnswersWhoWaitsAndLeavesNothing) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Dependent("b", "a"), Dependent("c", "b")}});
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  for (const testing::BuiltLayer& layer : image.layers) store_->AwaitReader(layer.digest);
  std::thread shutdown([&] { filler_.reset(); });
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kCancelled, "shutting down"));
  store_->Open(image.layers[0].digest);
  shutdown.join();
  EXPECT_EQ(directories_.leftovers(), 0);
}

TEST_F(FillerCancellationTest, ManyCallersAndCancellationsInDisorder) {
  testing::ImageSpec spec;
  spec.layers.push_back(Plain("0"));
  for (int i = 1; i < 8; ++i) spec.layers.push_back(Dependent(absl::StrCat(i), absl::StrCat(i - 1)));
  const BuiltImage image = layout_.WriteImage(spec);
  StartFiller(3);
  std::vector<std::unique_ptr<Answer>> answers;
  std::vector<std::shared_ptr<Cancellation>> cancellations;
  for (int i = 0; i < 60; ++i) {
    answers.push_back(std::make_unique<Answer>());
    cancellations.push_back(std::make_shared<Cancellation>());
    Ask(*answers.back(), Jobs(image), std::vector<int64_t>(), cancellations.back());
    if (i % 2 == 0) cancellations[static_cast<size_t>(i) / 2]->Cancel();
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    const absl::StatusOr<LayerRecord> record = answers[i]->Wait();
    if (!cancellations[i]->cancelled()) {
      EXPECT_OK(record.status());
    }
  }
  Answer last;
  Ask(last, Jobs(image));
  ASSERT_OK(last.Wait().status());
  EXPECT_TRUE(Eventually([&] {
    return directories_.Find(image.layers[7].diff_id, image.layers[7].chain_id)->has_value() &&
           directories_.leftovers() == 0;
  }));
}

}  // namespace
}  // namespace sluice
