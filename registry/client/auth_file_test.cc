#include "registry/client/auth_file.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using testing::StatusIs;

// "helper pass for reg.x", "user:password", "identity=… registry=…"; "none".
std::string Describe(const AuthFileAnswer& answer) {
  if (!answer.helper.empty()) return absl::StrCat("helper ", answer.helper, " for ", answer.helper_server);
  if (!answer.credentials.has_value()) return "none";
  std::string text = absl::StrCat(answer.credentials->username, ":", answer.credentials->password);
  if (!answer.credentials->identity_token.empty()) {
    absl::StrAppend(&text, " identity=", answer.credentials->identity_token);
  }
  if (!answer.credentials->registry_token.empty()) {
    absl::StrAppend(&text, " registry=", answer.credentials->registry_token);
  }
  return text;
}

struct Case {
  const char* name;
  const char* text;  // "@x" stands for {"auth": base64("x")}
  const char* host;
  const char* repository;
  const char* want;
};

// JSON with each '@word' written out.
std::string Expand(absl::string_view text) {
  std::string expanded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '@') {
      expanded += text[i];
      continue;
    }
    const size_t end = text.find_first_of(",}", i);
    absl::StrAppend(&expanded, R"({"auth": ")", absl::Base64Escape(text.substr(i + 1, end - i - 1)), R"("})");
    i = end - 1;
  }
  return expanded;
}

class AuthFileTest : public ::testing::TestWithParam<Case> {};

TEST_P(AuthFileTest, Answers) {
  const Case& c = GetParam();
  ASSERT_OK_AND_ASSIGN(const AuthFileAnswer answer, LookUpAuthFile(Expand(c.text), c.host, c.repository));
  EXPECT_EQ(Describe(answer), c.want);
}

INSTANTIATE_TEST_SUITE_P(
    Auths, AuthFileTest,
    ::testing::Values(
        Case{"EmptyFile", "", "reg.x", "a", "none"}, Case{"EmptyObject", "{}", "reg.x", "a", "none"},
        Case{"NullAuths", R"({"auths": null})", "reg.x", "a", "none"},
        Case{"Host", R"({"auths": {"reg.x": @u:p, "other.x": @o:o}})", "reg.x", "a", "u:p"},
        Case{"OtherHost", R"({"auths": {"reg.x": @u:p}})", "reg.y", "a", "none"},
        Case{"LongerHost", R"({"auths": {"reg.x": @u:p}})", "reg.x.evil", "a", "none"},
        Case{"HostWithPort", R"({"auths": {"reg.x": @u:p, "reg.x:5000": @v:q}})", "reg.x:5000", "a", "v:q"},
        Case{"NoPortIsAnotherHost", R"({"auths": {"reg.x:5000": @v:q}})", "reg.x", "a", "none"},
        Case{"V6", R"({"auths": {"[fd00::1]:5000": @v:q}})", "[fd00::1]:5000", "a", "v:q"},
        Case{"SchemeAndPath", R"({"auths": {"https://reg.x/v1/": @u:p}})", "reg.x", "a", "u:p"},
        Case{"SchemeAndPort", R"({"auths": {"http://reg.x:5000": @u:p}})", "reg.x:5000", "a", "u:p"},
        Case{"PlainKeyBeforeScheme", R"({"auths": {"https://reg.x": @u:p, "reg.x": @v:q}})", "reg.x", "a", "v:q"},
        Case{"Repository", R"({"auths": {"reg.x/a/b": @r:p, "reg.x/a": @n:p, "reg.x": @h:p}})", "reg.x", "a/b", "r:p"},
        Case{"Namespace", R"({"auths": {"reg.x/a/b": @r:p, "reg.x/a": @n:p, "reg.x": @h:p}})", "reg.x", "a/c/d", "n:p"},
        Case{"NotThatNamespace", R"({"auths": {"reg.x/a": @n:p, "reg.x": @h:p}})", "reg.x", "ab/c", "h:p"},
        Case{"OnlyAnotherNamespace", R"({"auths": {"reg.x/a": @n:p}})", "reg.x", "b", "none"},
        Case{"EmptyEntryPassedOver", R"({"auths": {"reg.x/a": {}, "reg.x": @h:p}})", "reg.x", "a", "h:p"},
        Case{"NullEntry", R"({"auths": {"reg.x": null}})", "reg.x", "a", "none"},
        Case{"HubByUrl", R"({"auths": {"https://index.docker.io/v1/": @u:p}})", "docker.io", "library/a", "u:p"},
        Case{"HubByName", R"({"auths": {"docker.io": @u:p, "https://index.docker.io/v1/": @o:o}})", "docker.io",
             "library/a", "u:p"},
        Case{"HubByIndexHost", R"({"auths": {"index.docker.io": @u:p}})", "docker.io", "library/a", "u:p"},
        Case{"HubByRegistryHost", R"({"auths": {"registry-1.docker.io": @u:p}})", "docker.io", "library/a", "u:p"},
        Case{"HubNamespace", R"({"auths": {"docker.io/me": @n:p, "docker.io": @u:p}})", "docker.io", "me/a", "n:p"},
        Case{"HubIsNotForOthers", R"({"auths": {"https://index.docker.io/v1/": @u:p}})", "reg.x", "a", "none"}),
    [](const auto& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Entries, AuthFileTest,
    ::testing::Values(
        Case{"ColonInPassword", R"({"auths": {"reg.x": @u:p:q:}})", "reg.x", "a", "u:p:q:"},
        Case{"EmptyPassword", R"({"auths": {"reg.x": @u:}})", "reg.x", "a", "u:"},
        Case{"UserAndPassword", R"({"auths": {"reg.x": {"username": "u", "password": "p"}}})", "reg.x", "a", "u:p"},
        Case{"AuthBeforeUser", R"({"auths": {"reg.x": {"username": "o", "password": "o", "auth": "dTpw"}}})", "reg.x",
             "a", "u:p"},
        // As Azure's: dTo= is "u:".
        Case{"IdentityToken", R"({"auths": {"reg.x": {"auth": "dTo=", "identitytoken": "tok"}}})", "reg.x", "a",
             "u: identity=tok"},
        Case{"RegistryToken", R"({"auths": {"reg.x": {"registrytoken": "tok"}}})", "reg.x", "a", ": registry=tok"},
        // dTpwAAA= is "u:p\0\0", from old Dockers.
        Case{"TrailingZeros", R"({"auths": {"reg.x": {"auth": "dTpwAAA="}}})", "reg.x", "a", "u:p"},
        Case{"OtherEntriesDamaged", R"({"auths": {"reg.x": @u:p, "reg.y": {"auth": 1}, "reg.z": 1}})", "reg.x", "a",
             "u:p"}),
    [](const auto& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Helpers, AuthFileTest,
    ::testing::Values(
        Case{"HostsOwn", R"({"credHelpers": {"reg.x": "ecr-login"}, "credsStore": "pass", "auths": {"reg.x": @u:p}})",
             "reg.x", "a", "helper ecr-login for reg.x"},
        Case{"ForAll", R"({"credHelpers": {"reg.y": "gcr"}, "credsStore": "pass", "auths": {"reg.x": @u:p}})", "reg.x",
             "a", "helper pass for reg.x"},
        Case{"WithPort", R"({"credsStore": "pass"})", "reg.x:5000", "a", "helper pass for reg.x:5000"},
        Case{"HubForAll", R"({"credsStore": "pass"})", "docker.io", "a", "helper pass for https://index.docker.io/v1/"},
        Case{"HubsOwnByUrl", R"({"credHelpers": {"https://index.docker.io/v1/": "hub"}})", "docker.io", "a",
             "helper hub for https://index.docker.io/v1/"},
        Case{"HubsOwnByName", R"({"credHelpers": {"docker.io": "hub"}})", "docker.io", "a", "helper hub for docker.io"},
        Case{"NoneForThisHost", R"({"credHelpers": {"reg.x": ""}, "credsStore": "pass", "auths": {"reg.x": @u:p}})",
             "reg.x", "a", "u:p"},
        Case{"EmptyStore", R"({"credsStore": "", "auths": {"reg.x": @u:p}})", "reg.x", "a", "u:p"}),
    [](const auto& instance) { return instance.param.name; });

struct Bad {
  const char* name;
  const char* text;  // every secret of it is SECRET, or U0VDUkVU, which is that in base64
  const char* message;
};

class AuthFileErrorTest : public ::testing::TestWithParam<Bad> {};

TEST_P(AuthFileErrorTest, SaysWhatIsWrongWithoutQuotingIt) {
  const auto answer = LookUpAuthFile(GetParam().text, "reg.x", "a");
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument, GetParam().message));
  EXPECT_FALSE(absl::StrContains(answer.status().ToString(), "SECRET")) << answer.status();
  EXPECT_FALSE(absl::StrContains(answer.status().ToString(), "U0VDUkVU")) << answer.status();
}

INSTANTIATE_TEST_SUITE_P(
    All, AuthFileErrorTest,
    ::testing::Values(
        Bad{"NoJson", R"({"auths": {"reg.x": {"auth": "U0VDUkVU")", "not JSON"}, Bad{"Text", "SECRET", "not JSON"},  //
        Bad{"List", R"(["SECRET"])", "not a JSON object"},
        Bad{"AuthsType", R"({"auths": "SECRET"})", R"("auths" is not an object)"},
        Bad{"EntryType", R"({"auths": {"reg.x": "SECRET"}})", R"(entry of "auths" for reg.x: not an object)"},
        Bad{"AuthType", R"({"auths": {"reg.x": {"auth": ["SECRET"]}}})", R"("auth" is not a string)"},
        Bad{"AuthNoBase64", R"({"auths": {"reg.x": {"auth": "SECRET!"}}})", R"("auth" is not base64)"},
        Bad{"AuthNoColon", R"({"auths": {"reg.x": {"auth": "U0VDUkVU"}}})", R"("auth" is not user:password)"},
        Bad{"AuthNoUser", R"({"auths": {"reg.x": {"auth": "OlNFQ1JFVA=="}}})", R"("auth" is not user:password)"},
        Bad{"PasswordType", R"({"auths": {"reg.x": {"password": 1}}})", R"("password" is not a string)"},
        Bad{"TokenType", R"({"auths": {"reg.x": {"identitytoken": {"SECRET": 1}}}})", R"("identitytoken" is not)"},
        Bad{"HelpersType", R"({"credHelpers": ["SECRET"]})", R"("credHelpers" is not an object)"},
        Bad{"HelperType", R"({"credHelpers": {"reg.x": 1}})", R"("reg.x" is not a string)"},
        Bad{"HelperPath", R"({"credHelpers": {"reg.x": "../SECRET"}})", R"("credHelpers" has what is not the name)"},
        Bad{"StoreType", R"({"credsStore": ["SECRET"]})", R"("credsStore" is not a string)"},
        Bad{"StoreShell", R"({"credsStore": "SECRET;reboot"})", R"("credsStore" has what is not the name)"}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace sluice
