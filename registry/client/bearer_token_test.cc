#include "registry/client/bearer_token.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);  // 2023-11-14T22:13:20Z

struct Case {
  const char* json;
  const char* value;
  double seconds;  // until it is refreshed
};

TEST(BearerTokenTest, LivesAsLongAsItSays) {
  const Case cases[] = {
      {R"({"token":"a"})", "a", 54},
      {R"({"access_token":"a"})", "a", 54},
      {R"({"token":"a","access_token":"b"})", "b", 54},
      {R"({"token":"a","access_token":""})", "a", 54},
      {R"({"token":"a","expires_in":300})", "a", 270},
      {R"({"token":"a","expires_in":3600})", "a", 3570},
      {R"({"token":"a","expires_in":5})", "a", 4.5},
      {R"({"token":"a","expires_in":0})", "a", 54},
      {R"({"token":"a","expires_in":-7})", "a", 54},
      {R"({"token":"a","expires_in":"300"})", "a", 54},
      {R"({"token":"a","expires_in":1e300})", "a", 86370},
      {R"({"token":"a","expires_in":300,"issued_at":"2023-11-14T22:12:20Z"})", "a", 216},
      {R"({"token":"a","expires_in":300,"issued_at":"2023-11-14T23:12:20.123456789+01:00"})", "a", 216.1},
      // Clocks that disagree by more than the token lives, either way.
      {R"({"token":"a","expires_in":300,"issued_at":"2023-11-14T20:00:00Z"})", "a", 270},
      {R"({"token":"a","expires_in":300,"issued_at":"2023-11-15T20:00:00Z"})", "a", 270},
      {R"({"token":"a","expires_in":300,"issued_at":"yesterday"})", "a", 270},
      {R"({"token":"a","expires_in":300,"issued_at":7})", "a", 270},
  };
  for (const Case& c : cases) {
    ASSERT_OK_AND_ASSIGN(const BearerToken token, ParseTokenAnswer(c.json, kNow));
    EXPECT_EQ(token.value, c.value) << c.json;
    EXPECT_NEAR(absl::ToDoubleSeconds(token.refresh_at - kNow), c.seconds, 0.2) << c.json;
  }
}

TEST(BearerTokenTest, OtherAnswersAreRefusedWithoutQuotingThem) {
  for (const std::string& json :
       {std::string("secret"), std::string("[\"secret\"]"), std::string("{}"), std::string(R"({"token":""})"),
        std::string(R"({"token":{"secret":1}})"), std::string(R"({"token":"secret\r\nX-Injected: 1"})"),
        std::string(R"({"token":"secret secret"})"), std::string(R"({"token":"secret\u0000"})")}) {
    const absl::Status status = ParseTokenAnswer(json, kNow).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument)) << json;
    EXPECT_FALSE(absl::StrContains(status.message(), "secret")) << status;
  }
}

}  // namespace
}  // namespace sluice
