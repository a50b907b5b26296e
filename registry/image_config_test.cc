#include "registry/image_config.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr char kDiffA[] = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
constexpr char kDiffB[] = "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";

std::string WithRootfs(const std::string& rest) {
  return absl::StrCat(R"({"rootfs":{"type":"layers","diff_ids":[")", kDiffA, "\",\"", kDiffB, "\"]}", rest, "}");
}

TEST(ImageConfigTest, ReadsPlatformAndDiffIds) {
  const absl::StatusOr<ImageConfig> config =
      ParseImageConfig(WithRootfs(R"(,"os":"linux","architecture":"arm","variant":"v7")"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->platform.ToString(), "linux/arm/v7");
  ASSERT_EQ(config->diff_ids.size(), 2u);
  EXPECT_EQ(config->diff_ids[1].ToString(), kDiffB);
}

TEST(ImageConfigTest, MetadataHasTheFieldsVerbatim) {
  const std::string runtime =
      R"({"User":"1000:1000","ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin","A=b=c","ü=\"x\""],"Entrypoint":["/e","--x"],)"
      R"("Cmd":["y"],"Volumes":{"/data":{}},"WorkingDir":"/w","Labels":{"l":"m"},"StopSignal":"SIGQUIT"})";
  const ImageConfig config =
      ParseImageConfig(
          WithRootfs(absl::StrCat(
              R"(,"created":"2024-01-01T00:00:00Z","author":"me","architecture":"amd64","os":"linux","config":)",
              runtime, R"(,"history":[])")))
          .value();
  const Json metadata = Json::parse(config.metadata_json);
  EXPECT_EQ(metadata["config"], Json::parse(runtime));
  EXPECT_EQ(metadata["created"], "2024-01-01T00:00:00Z");
  EXPECT_EQ(metadata["author"], "me");
  EXPECT_EQ(metadata["os"], "linux");
  EXPECT_FALSE(metadata.contains("history"));
  EXPECT_FALSE(metadata.contains("variant"));
}

TEST(ImageConfigTest, AbsentAndNullFieldsAreLeftOut) {
  EXPECT_EQ(ParseImageConfig(WithRootfs("")).value().metadata_json, "{\n  \"config\": {}\n}\n");
  EXPECT_EQ(ParseImageConfig(WithRootfs(R"(,"config":{"Cmd":null,"Entrypoint":null})")).value().metadata_json,
            "{\n  \"config\": {}\n}\n");
}

TEST(ImageConfigTest, RefusesNamingTheField) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not JSON"},
      {"{}", "rootfs"},
      {R"({"rootfs":[]})", "rootfs"},
      {R"({"rootfs":{"type":"tar","diff_ids":[]}})", "type"},
      {R"({"rootfs":{"diff_ids":"x"}})", "diff_ids"},
      {R"({"rootfs":{"diff_ids":["sha256:12"]}})", "\"diff_ids\"[0]"},
      {WithRootfs(R"(,"os":7)"), "os"},
      {WithRootfs(R"(,"config":7)"), "config"},
      {WithRootfs(R"(,"config":{"Env":"A=b"})"), "Env"},
      {WithRootfs(R"(,"config":{"Env":[1]})"), "Env"},
      {WithRootfs(R"(,"config":{"User":0})"), "User"},
      {WithRootfs(R"(,"config":{"Labels":{"a":1}})"), "Labels"},
      {WithRootfs(R"(,"config":{"Volumes":["/a"]})"), "Volumes"},
  };
  for (const auto& [json, named] : cases) {
    const absl::StatusOr<ImageConfig> config = ParseImageConfig(json);
    ASSERT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_TRUE(absl::StrContains(config.status().message(), named)) << config.status();
  }
}

// Expected values by sha256sum: printf '%s %s' sha256:ca97… sha256:3e23… | sha256sum, and so on.
TEST(ChainIdTest, IsTheHashOfParentAndDiffId) {
  const Digest a = Digest::Parse(kDiffA).value();
  const Digest b = Digest::Parse(kDiffB).value();
  const std::vector<Digest> chain = ChainIds({a, b, a});
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(chain[0], a);
  EXPECT_EQ(chain[1].ToString(), "sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676");
  EXPECT_EQ(chain[2].ToString(), "sha256:1472d34251a00ac55ede7b25cbe3c166a4229eae731490bfdeb83bc00f598be1");
  EXPECT_EQ(chain[2], ChainId(chain[1], a));
  EXPECT_TRUE(ChainIds({}).empty());
}

}  // namespace
}  // namespace sluice
