#include "registry/client/hosts_config.h"

#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/client/hosts_config_corpus.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAreArray;
using testing::HostsCase;
using testing::StatusIs;
using testing::TempDir;

class HostsConfigTest : public ::testing::TestWithParam<HostsCase> {
 protected:
  const TempDir dir_;
};

TEST_P(HostsConfigTest, AsContainerd) {
  const HostsCase& hosts_case = GetParam();
  const std::string hosts_dir = testing::WriteHostsDirectory(hosts_case, dir_.path());
  absl::Status ignored;
  const auto endpoints = LoadHostsConfig(hosts_dir, hosts_case.host, &ignored);

  std::vector<std::string> got;
  if (!endpoints.ok()) {
    ASSERT_EQ(hosts_case.want.size(), 1u) << endpoints.status();
    absl::string_view cause = hosts_case.want[0];
    ASSERT_TRUE(absl::ConsumePrefix(&cause, "refused ")) << endpoints.status();
    EXPECT_THAT(endpoints, StatusIs(endpoints.status().code(), std::string(cause)));
    EXPECT_TRUE(absl::StartsWith(endpoints.status().message(), "hosts of " + hosts_case.host + ": "));
    return;
  }
  if (!endpoints->has_value()) got.push_back("unset");
  for (const ConfiguredEndpoint& endpoint : endpoints->value_or(std::vector<ConfiguredEndpoint>{})) {
    got.push_back(testing::Describe(endpoint, hosts_dir));
  }
  EXPECT_THAT(got, ElementsAreArray(hosts_case.want));
  if (hosts_case.ignored.empty()) {
    EXPECT_OK(ignored);
  } else {
    EXPECT_THAT(ignored, StatusIs(absl::StatusCode::kInvalidArgument, hosts_case.ignored));
  }
}

INSTANTIATE_TEST_SUITE_P(All, HostsConfigTest, ::testing::ValuesIn(testing::HostsCases()),
                         [](const auto& instance) { return instance.param.name; });

TEST(HostsConfigFilesTest, AreReadAnewAtEachCall) {
  const TempDir dir;
  const std::string toml = dir.MakeDirectory("reg.x") + "/hosts.toml";
  EXPECT_FALSE(LoadHostsConfig(dir.path(), "reg.x").value().has_value());
  std::ofstream(toml) << "server = \"https://a.x\"";
  EXPECT_EQ(LoadHostsConfig(dir.path(), "reg.x").value()->at(0).base, "https://a.x/v2");
  std::ofstream(toml) << "server = \"https://b.x\"";
  EXPECT_EQ(LoadHostsConfig(dir.path() + "/", "reg.x").value()->at(0).base, "https://b.x/v2");
}

TEST(HostsConfigFilesTest, HostsThatWouldLeaveTheDirectoryAreRefused) {
  const TempDir dir;
  std::ofstream(dir.At("hosts.toml")) << "server = \"https://a.x\"";
  dir.MakeDirectory("certs.d");
  for (const char* host : {"", ".", "..", "../x", "a/b", "_default", "a\nb", "/"}) {
    const auto endpoints = LoadHostsConfig(dir.At("certs.d"), host);
    EXPECT_EQ(endpoints.status().code(), absl::StatusCode::kInvalidArgument) << host;
  }
}

TEST(HostsConfigFilesTest, ATomlTooLargeIsRefused) {
  const TempDir dir;
  std::ofstream(dir.MakeDirectory("reg.x") + "/hosts.toml") << std::string((1 << 20) + 1, '\n');
  EXPECT_THAT(LoadHostsConfig(dir.path(), "reg.x"),
              StatusIs(absl::StatusCode::kInvalidArgument, "reg.x/hosts.toml: larger than 1048576 bytes"));
}

// One level of tables for each dot: hundreds of thousands of them on one line, a hundred on each of many lines.
TEST(HostsConfigFilesTest, DeepTablesDoNotOverflowTheStack) {
  const TempDir dir;
  const std::string toml = dir.MakeDirectory("reg.x") + "/hosts.toml";
  std::string line;
  for (int i = 0; i < 500'000; ++i) line += "a.";
  std::ofstream(toml) << "\n" << line << "a = 1";
  absl::Status ignored;
  EXPECT_FALSE(LoadHostsConfig(dir.path(), "reg.x", &ignored).value().has_value());
  EXPECT_THAT(ignored, StatusIs(absl::StatusCode::kInvalidArgument, "hosts.toml:2: more than 128 dots in a line"));

  std::string nested = "x = [";
  for (int i = 0; i < 120; ++i) nested += "{" + line.substr(0, 250) + "a = [\n";
  nested += "1";
  for (int i = 0; i < 120; ++i) nested += "]}";
  std::ofstream(toml) << "server = \"https://a.x\"\n" << nested << "]";
  EXPECT_EQ(LoadHostsConfig(dir.path(), "reg.x", &ignored).value()->at(0).base, "https://a.x/v2");
}

TEST(HostsConfigFilesTest, AFifoDoesNotBlock) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir.MakeDirectory("reg.x") + "/hosts.toml").c_str(), 0600), 0);
  EXPECT_THAT(LoadHostsConfig(dir.path(), "reg.x"), StatusIs(absl::StatusCode::kFailedPrecondition, "not a regular"));
}

// Values of headers and the passwords of URLs are secrets; where a line is no TOML anything in it may be one.
TEST(HostsConfigSecretsTest, AreInNoMessage) {
  const std::vector<std::string> files = {
      "[header]\nAuthorization = sEcReT\n",
      "[header]\nAuthorization = [\"sEcReT\", 1]\n",
      "[header]\nAuthorization = \"sEcReT\nx\"\n",
      "[header]\nAuthorization = \"sEcReT\\q\"\n",
      "[header]\nAuthorization = {a = \"sEcReT\"}\n",
      "[header]\nsEcReT\n",
      "sEcReT = 1\nsEcReT = 2\n",
      "server = \"https://u:sEcReT@a:5x\"\n",
      "server = \"https://u:sEcReT@a b\"\n",
      "[host.\"https://u:sEcReT@a b\"]\n",
      "[host.\"https://u:sEcReT@a\"]\nca = 1\n",
      "[host]\n\"https://u:sEcReT@a\" = 1\n",
  };
  for (const std::string& text : files) {
    const TempDir dir;
    std::ofstream(dir.MakeDirectory("reg.x") + "/hosts.toml") << text;
    absl::Status ignored;
    EXPECT_FALSE(LoadHostsConfig(dir.path(), "reg.x", &ignored).value().has_value()) << text;
    EXPECT_FALSE(ignored.ok()) << text;
    EXPECT_FALSE(absl::StrContains(ignored.ToString(), "sEcReT")) << ignored;
  }
  const TempDir dir;
  std::ofstream(dir.MakeDirectory("reg.x") + "/hosts.toml") << "[host.\"https://u:sEcReT@a\"]\nca = \"none.pem\"\n";
  const auto refused = LoadHostsConfig(dir.path(), "reg.x");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(absl::StrContains(refused.status().ToString(), "sEcReT"));
}

}  // namespace
}  // namespace sluice
