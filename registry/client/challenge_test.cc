#include "registry/client/challenge.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// "bearer[realm=…|service=…] basic[realm=…]"
std::string Show(const std::vector<Challenge>& challenges) {
  return absl::StrJoin(challenges, " ", [](std::string* out, const Challenge& challenge) {
    absl::StrAppend(out, challenge.scheme, "[", absl::StrJoin(challenge.parameters, "|", absl::PairFormatter("=")),
                    "]");
  });
}

struct Case {
  const char* name;
  std::vector<std::string> headers;
  const char* want;
};

class ChallengeTest : public ::testing::TestWithParam<Case> {};

TEST_P(ChallengeTest, Parses) { EXPECT_EQ(Show(ParseChallenges(GetParam().headers)), GetParam().want); }

const Case kCases[] = {
    {"None", {}, ""},
    {"DockerHub",
     {R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull")"},
     "bearer[realm=https://auth.docker.io/token|scope=repository:a/b:pull|service=registry.docker.io]"},
    {"Basic", {R"(Basic realm="Registry Realm")"}, "basic[realm=Registry Realm]"},
    {"SchemeAndNamesInAnyCase", {R"(BEARER Realm="x",SERVICE=y)"}, "bearer[realm=x|service=y]"},
    {"TwoHeaders", {R"(Basic realm="a")", R"(Bearer realm="b")"}, "basic[realm=a] bearer[realm=b]"},
    {"TwoInOneHeader",
     {R"(Basic realm="a", Bearer realm="b", service="c", Digest qop="auth, auth-int")"},
     "basic[realm=a] bearer[realm=b|service=c] digest[qop=auth, auth-int]"},
    {"SchemeWithoutParametersBeforeAnother", {R"(Negotiate, Basic realm="a")"}, "negotiate[] basic[realm=a]"},
    {"CredentialsFormBeforeAnother", {R"(Negotiate YWJj/+==, Basic realm="a")"}, "negotiate[] basic[realm=a]"},
    {"EscapesInQuotes", {R"(Bearer realm="a\"b\\c,d=e")"}, R"(bearer[realm=a"b\c,d=e])"},
    {"SpacesAroundEverything", {"  Bearer   realm = \"a\" ,\tservice\t=\tb  "}, "bearer[realm=a|service=b]"},
    {"EmptyListMembers", {R"(,, Bearer realm="a",, ,service="b",)"}, "bearer[realm=a|service=b]"},
    {"SeveralScopesInOne",
     {R"(Bearer realm="a",scope="repository:x:pull repository:y:pull")"},
     "bearer[realm=a|scope=repository:x:pull repository:y:pull]"},
    {"SeveralScopeParameters",
     {R"(Bearer realm="a",scope="repository:x:pull",scope="repository:y:pull")"},
     "bearer[realm=a|scope=repository:x:pull repository:y:pull]"},
    {"OfOthersTheFirstCounts", {R"(Bearer realm="a",realm="b")"}, "bearer[realm=a]"},
    {"EmptyValue", {R"(Bearer realm="",service="b")"}, "bearer[realm=|service=b]"},
    {"ErrorWithDescription",
     {R"(Bearer realm="a",error="invalid_token",error_description="expired, sorry")"},
     "bearer[error=invalid_token|error_description=expired, sorry|realm=a]"},
    {"QuoteWithoutEnd", {R"(Bearer realm="a)"}, "bearer[realm=a]"},
    {"BackslashAtTheEnd", {"Bearer realm=\"a\\"}, "bearer[realm=a\\]"},
    {"NoValue", {"Bearer realm="}, "bearer[]"},
    {"ParameterWithoutScheme", {R"(realm="a")"}, ""},
    {"Rubbish", {"\x01\x02=,;\xff\"", "(((", "="}, ""},
};

INSTANTIATE_TEST_SUITE_P(All, ChallengeTest, ::testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace sluice
