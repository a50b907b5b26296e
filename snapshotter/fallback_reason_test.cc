#include "snapshotter/fallback_reason.h"

#include <set>
#include <string>

#include "base/status_macros.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(FallbackReasonTest, WhatWasGivenOutlivesTheWordsAroundIt) {
  const absl::Status status =
      Annotate(WithReason(absl::NotFoundError("no image"), FallbackReason::kUnknownImage), "resolve");
  EXPECT_EQ(ReasonOf(status), FallbackReason::kUnknownImage);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "resolve: no image");
}

TEST(FallbackReasonTest, ACodeSpeaksForItself) {
  EXPECT_EQ(ReasonOf(absl::NotFoundError("")), FallbackReason::kMissing);
  EXPECT_EQ(ReasonOf(absl::UnavailableError("")), FallbackReason::kUnreachable);
  EXPECT_EQ(ReasonOf(absl::DeadlineExceededError("")), FallbackReason::kUnreachable);
  EXPECT_EQ(ReasonOf(absl::PermissionDeniedError("")), FallbackReason::kDenied);
  EXPECT_EQ(ReasonOf(absl::UnauthenticatedError("")), FallbackReason::kDenied);
  EXPECT_EQ(ReasonOf(absl::DataLossError("")), FallbackReason::kCorrupt);
  EXPECT_EQ(ReasonOf(absl::InvalidArgumentError("")), FallbackReason::kCorrupt);
  EXPECT_EQ(ReasonOf(absl::FailedPreconditionError("")), FallbackReason::kUnsupported);
  EXPECT_EQ(ReasonOf(absl::ResourceExhaustedError("")), FallbackReason::kNoRoom);
  EXPECT_EQ(ReasonOf(absl::UnknownError("")), FallbackReason::kInternal);
}

TEST(FallbackReasonTest, ALaterReasonReplacesTheEarlier) {
  const absl::Status status =
      WithReason(WithReason(absl::UnknownError("x"), FallbackReason::kDenied), FallbackReason::kForbidden);
  EXPECT_EQ(ReasonOf(status), FallbackReason::kForbidden);
  EXPECT_TRUE(WithReason(absl::OkStatus(), FallbackReason::kForbidden).ok());
}

TEST(FallbackReasonTest, NamesDiffer) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(FallbackReason::kInternal); ++i) {
    names.insert(std::string(FallbackReasonName(static_cast<FallbackReason>(i))));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(FallbackReason::kInternal) + 1);
  EXPECT_EQ(FallbackReasonName(FallbackReason::kBadRef), "bad_ref");
  EXPECT_EQ(FallbackReasonName(FallbackReason::kUnproven), "unproven");
  EXPECT_EQ(FallbackReasonName(FallbackReason::kVanished), "vanished");
}

}  // namespace
}  // namespace sluice
