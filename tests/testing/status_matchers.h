// GoogleMock matchers for absl::Status and absl::StatusOr; Debian's absl (20220623) has none.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

// EXPECT_THAT(status_or_value, IsOk());
MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

// EXPECT_THAT(Unpack(), StatusIs(absl::StatusCode::kInvalidArgument, "entry a/b"));
// The message must contain `substring`; an error message must be one line without a trailing dot, as the house style
// has it, so that is checked here too.
MATCHER_P2(StatusIs, code, substring,
           absl::StrCat(negation ? "is not " : "is ", absl::StatusCodeToString(code), " with \"", substring, "\"")) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  const absl::string_view message = status.message();
  if (absl::StrContains(message, "\n") || absl::EndsWith(message, ".")) {
    *result_listener << " (not one line without a trailing dot)";
    return false;
  }
  return status.code() == code && absl::StrContains(message, substring);
}

inline auto StatusIs(absl::StatusCode code) { return StatusIs(code, ""); }

}  // namespace sluice::testing

#define ASSERT_OK(expression) ASSERT_THAT(expression, ::sluice::testing::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT(expression, ::sluice::testing::IsOk())

// ASSERT_OK_AND_ASSIGN(UniqueFd fd, Open(...));
#define ASSERT_OK_AND_ASSIGN(declaration, expression) \
  SLUICE_ASSERT_OK_AND_ASSIGN(SLUICE_CONCAT(sluice_status_or_, __LINE__), declaration, expression)

#define SLUICE_ASSERT_OK_AND_ASSIGN(status_or, declaration, expression) \
  auto status_or = (expression);                                        \
  ASSERT_OK(status_or);                                                 \
  declaration = *std::move(status_or)
