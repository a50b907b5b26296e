#include "snapshotter/filter.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using testing::StatusIs;

SnapshotInfo Sample() {
  SnapshotInfo info;
  info.name = "default/7/sha256:aa";
  info.parent = "default/3/sha256:bb";
  info.kind = SnapshotKind::kCommitted;
  info.labels = {{"containerd.io/snapshot.ref", "sha256:aa"}, {"plain", "va\"lue"}, {"a.b", "x y"}, {"n", "\n"}};
  return info;
}

struct Case {
  const char* name;
  std::vector<std::string> filters;
  bool want;
};

class FilterMatchTest : public ::testing::TestWithParam<Case> {};

TEST_P(FilterMatchTest, Matches) {
  ASSERT_OK_AND_ASSIGN(const Filter filter, Filter::Parse(GetParam().filters));
  EXPECT_EQ(filter.Matches(Sample()), GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    All, FilterMatchTest,
    ::testing::Values(
        Case{"NoFilter", {}, true}, Case{"EmptyFilter", {""}, true}, Case{"Kind", {"kind==committed"}, true},
        Case{"OtherKind", {"kind==active"}, false}, Case{"KindIsLowerCase", {"kind==Committed"}, false},
        Case{"Name", {"name==default/7/sha256:aa"}, true}, Case{"NameQuoted", {"name==\"default/7/sha256:aa\""}, true},
        Case{"NamePart", {"name==default/7"}, false}, Case{"Parent", {"parent==\"default/3/sha256:bb\""}, true},
        Case{"ParentNotEmpty", {"parent!=\"\""}, true}, Case{"ParentEmpty", {"parent==\"\""}, false},
        Case{"LabelPresent", {"labels.plain"}, true}, Case{"LabelAbsent", {"labels.absent"}, false},
        Case{"LabelAbsentDiffers", {"labels.absent!=v"}, true},
        Case{"LabelAbsentDiffersFromEmpty", {"labels.absent!=\"\""}, false},
        Case{"LabelAbsentEqualsEmpty", {"labels.absent==\"\""}, false},
        Case{"LabelQuotedKey", {"labels.\"containerd.io/snapshot.ref\"==sha256:aa"}, true},
        Case{"LabelWithUnquotedDot", {"labels.a.b==\"x y\""}, true},
        Case{"EscapedQuote", {"labels.plain==\"va\\\"lue\""}, true},
        Case{"HexEscape", {"labels.plain==\"va\\x22lue\""}, true},
        Case{"OctalEscape", {"labels.plain==\"va\\042lue\""}, true},
        Case{"UnicodeEscape", {"labels.plain==\"va\\u0022lue\""}, true},
        Case{"LongUnicodeEscape", {"labels.plain==\"va\\U00000022lue\""}, true},
        Case{"NewlineEscape", {"labels.n==\"\\n\""}, true},
        Case{"AllMustMatch", {"kind==committed,labels.absent"}, false},
        Case{"BothMatch", {"kind==committed,labels.plain"}, true},
        Case{"AnyMayMatch", {"kind==active", "labels.plain"}, true},
        Case{"NoneMatches", {"kind==active", "kind==view"}, false}, Case{"Expression", {"name~=sha256:a+$"}, true},
        Case{"ExpressionInSlashes", {"name~=/^default\\/7/"}, true},
        Case{"ExpressionInBars", {"name~=|^default/7|"}, true}, Case{"ExpressionFails", {"name~=^sha256"}, false},
        Case{"ExpressionOfAbsent", {"labels.absent~=\".\""}, false},
        Case{"ExpressionThatMatchesNothingOfAbsent", {"labels.absent~=\".*\""}, true},
        Case{"UnknownField", {"colour==red"}, false}, Case{"UnknownFieldDiffers", {"colour!=red"}, true},
        Case{"UnknownFieldPresent", {"colour"}, false}, Case{"FieldBelowKind", {"kind.x==committed"}, true},
        Case{"SpaceAroundOperator", {"kind == committed"}, true},
        Case{"SpaceAfterComma", {"kind==committed, name"}, true}, Case{"OperatorInsideValue", {"name!=a==b"}, true},
        Case{"WideSpaceBeforeValue", {"kind==\u2003committed"}, true},
        Case{"WideSpaceInQuotes", {"kind!=\"\u2003committed\""}, true},
        Case{"OtherLettersInValue", {"name!=\u00e9\u5feb\U0001f642"}, true},
        Case{"PresenceOfParent", {"parent"}, true}),
    [](const auto& test) { return std::string(test.param.name); });

struct Bad {
  const char* name;
  std::string filter;
  const char* cause;
};

class FilterSyntaxTest : public ::testing::TestWithParam<Bad> {};

TEST_P(FilterSyntaxTest, IsInvalidArgument) {
  EXPECT_THAT(Filter::Parse({"kind==active", GetParam().filter}),
              StatusIs(absl::StatusCode::kInvalidArgument, GetParam().cause));
}

INSTANTIATE_TEST_SUITE_P(
    All, FilterSyntaxTest,
    ::testing::Values(
        Bad{"OnlyComma", ",", "at byte 0: expected a field"}, Bad{"TrailingComma", "name==a,", "at byte 8"},
        Bad{"TrailingDot", "labels.", "expected a field"}, Bad{"NoValue", "name==", "expected a value"},
        Bad{"SingleEquals", "name=a", "expected one of =="}, Bad{"TripleEquals", "name===a", "expected one of =="},
        Bad{"TwoWords", "name==a b", "unexpected input"}, Bad{"NoOperator", "name foo", "expected one of =="},
        Bad{"WideSpaceInValue", "name==a\u00a0b", "at byte 7: unexpected input"},
        Bad{"TrailingSpace", "name==a ", "unexpected input"}, Bad{"OpenQuote", "name==\"a", "not closed"},
        Bad{"NewlineInQuote", "name==\"a\nb\"", "not closed"}, Bad{"BackslashAtEnd", "name==\"\\", "unknown escape"},
        Bad{"UnknownEscape", "name==\"\\q\"", "unknown escape"}, Bad{"ShortHex", "name==\"\\x1\"", "digit"},
        Bad{"BigOctal", "name==\"\\777\"", "larger than a byte"}, Bad{"Surrogate", "name==\"\\ud800\"", "Unicode"},
        Bad{"SlashQuoteWithoutExpression", "name==/a/", "only \""}, Bad{"SlashQuotedField", "/name/==a", "only \""},
        Bad{"BadExpression", "name~=\"a(\"", "regular expression"},
        Bad{"Nul", std::string("na\0me", 5), "expected one of"},
        Bad{"TextAfterQuote", "name==\"a\"b", "unexpected input"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(FilterTest, RequiresALabel) {
  for (const char* text : {"labels.\"containerd.io/snapshot.ref\"==sha256:aa,parent==\"default/3/p\"",
                           "parent==\"default/3/p\",labels.\"containerd.io/snapshot\".ref==\"sha256:aa\"",
                           "kind!=view,labels.\"containerd.io/snapshot.ref\"==sha256:aa,labels.other==x"}) {
    ASSERT_OK_AND_ASSIGN(const Filter filter, Filter::Parse({text}));
    ASSERT_TRUE(filter.RequiredLabel().has_value()) << text;
    EXPECT_EQ(filter.RequiredLabel()->value, "sha256:aa");
  }
  ASSERT_OK_AND_ASSIGN(const Filter filter, Filter::Parse({"labels.a.b==c"}));
  EXPECT_EQ(filter.RequiredLabel()->key, "a.b");
}

TEST(FilterTest, RequiresNoLabel) {
  for (const char* text : {"", "name==a", "labels.a", "labels.a!=b", "labels.a~=b", "parent==p"}) {
    ASSERT_OK_AND_ASSIGN(const Filter filter, Filter::Parse({text}));
    EXPECT_FALSE(filter.RequiredLabel().has_value()) << text;
  }
  ASSERT_OK_AND_ASSIGN(const Filter either, Filter::Parse({"labels.a==b", "labels.a==c"}));
  EXPECT_FALSE(either.RequiredLabel().has_value());
  ASSERT_OK_AND_ASSIGN(const Filter all, Filter::Parse({}));
  EXPECT_FALSE(all.RequiredLabel().has_value());
}

}  // namespace
}  // namespace sluice
