#include "base/digest.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr char kEmptyHex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(DigestTest, OfKnownInputs) {
  EXPECT_EQ(Digest::Of("").Hex(), kEmptyHex);
  EXPECT_EQ(Digest::Of("abc").ToString(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(DigestTest, ParsesWhatItPrints) {
  const Digest digest = Digest::Of("abc");
  EXPECT_EQ(Digest::Parse(digest.ToString()).value(), digest);
  EXPECT_EQ(Digest::ParseHex(digest.Hex()).value(), digest);
  EXPECT_EQ(digest.Short(), "sha256:ba7816bf8f01");
}

TEST(DigestTest, RefusesEverythingElse) {
  const std::string hex = kEmptyHex;
  std::string upper = hex;
  upper[0] = 'E';
  for (const std::string& text :
       {std::string(), std::string("sha256:"), hex, "sha512:" + hex, "sha256:" + upper, "sha256:" + hex.substr(1),
        "sha256:" + hex + "0", " sha256:" + hex, "sha256:" + hex.substr(2) + "/.", std::string(1 << 20, 'a')}) {
    const absl::StatusOr<Digest> digest = Digest::Parse(text);
    EXPECT_EQ(digest.status().code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 100);
    EXPECT_LT(digest.status().message().size(), 200u);
  }
}

TEST(DigestTest, OrdersByBytes) {
  EXPECT_LT(Digest(), Digest::Of(""));
  EXPECT_NE(Digest::Of("a"), Digest::Of("b"));
}

}  // namespace
}  // namespace sluice
