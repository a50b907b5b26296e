#include "registry/json.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(JsonTest, RefusesWhatIsNoBoundedObject) {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 600'000; ++i) many += ",0";
  many += "]}";
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("1"), std::string("{} x"),
        std::string("{\"a\":\"\xff\"}"), std::string("{'a':1}"), std::string(1000, '\0'), deep, many}) {
    EXPECT_EQ(ParseJsonObject(text).status().code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 40);
  }
}

TEST(JsonTest, BracketsInStringsAreNoDepth) {
  const std::string brackets(1000, '[');
  const absl::StatusOr<Json> json = ParseJsonObject("{\"a\\\"\":\"" + brackets + "\"}");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(StringMember(*json, "a\"").value(), brackets);
}

TEST(JsonTest, ManyMembersParseQuickly) {
  std::string text = "{\"x\":0";
  for (int i = 0; i < 200'000; ++i) text += ",\"key" + std::to_string(i) + "\":0";
  EXPECT_TRUE(ParseJsonObject(text + "}").ok());
}

TEST(JsonTest, MembersAreReadByType) {
  const Json json =
      ParseJsonObject(R"({"s":"x","l":["a","b"],"m":{"k":"v"},"n":null,"i":7,"ml":["a",1],"mm":{"k":1}})").value();
  EXPECT_EQ(StringMember(json, "s").value(), "x");
  EXPECT_EQ(StringListMember(json, "l").value().size(), 2u);
  EXPECT_EQ(StringMapMember(json, "m").value().at("k"), "v");
  for (const char* absent : {"n", "none"}) {
    EXPECT_EQ(StringMember(json, absent).value(), "");
    EXPECT_TRUE(StringListMember(json, absent).value().empty());
    EXPECT_TRUE(StringMapMember(json, absent).value().empty());
    EXPECT_EQ(ObjectMember(json, absent).value(), nullptr);
  }
  for (const char* wrong : {"i", "l", "m"}) EXPECT_FALSE(StringMember(json, wrong).ok()) << wrong;
  for (const char* wrong : {"i", "s", "m", "ml"}) EXPECT_FALSE(StringListMember(json, wrong).ok()) << wrong;
  for (const char* wrong : {"i", "s", "l", "mm"}) EXPECT_FALSE(StringMapMember(json, wrong).ok()) << wrong;
}

}  // namespace
}  // namespace sluice
