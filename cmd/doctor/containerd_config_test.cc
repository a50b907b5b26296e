#include "cmd/doctor/containerd_config.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "cmd/doctor/containerd_version.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::StatusIs;

constexpr char k23[] = R"(version = 3
root = "/data/containerd"
[grpc]
  address = "/run/k3s/containerd/containerd.sock"
[proxy_plugins.sluice]
  type = "io.containerd.snapshotter.v1"
  address = "unix:///run/s.sock"
  capabilities = ["remap-ids"]
  [proxy_plugins.sluice.exports]
    root = "/var/lib/s"
[proxy_plugins.sluice-diff]
  type = "diff"
  address = "/run/s.sock"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/amd64"
  snapshotter = "sluice"
  differ = "sluice-diff"
[plugins."io.containerd.service.v1.diff-service"]
  default = ["sluice-diff", "walking"]
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "sluice"
  disable_snapshot_annotations = false
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/certs.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata]
  snapshotter = "blockfile"
)";

TEST(ContainerdConfigTest, OfContainerd2) {
  ContainerdConfig config;
  ASSERT_OK(ParseContainerdConfig(k23, config));
  EXPECT_EQ(config.root, "/data/containerd");
  EXPECT_EQ(config.address, "/run/k3s/containerd/containerd.sock");
  EXPECT_THAT(config.proxies, ElementsAre(ProxyPlugin{"sluice", "snapshot", "/run/s.sock", {{"root", "/var/lib/s"}}},
                                          ProxyPlugin{"sluice-diff", "diff", "/run/s.sock", {}}));
  ASSERT_TRUE(config.unpack.has_value());
  EXPECT_THAT(*config.unpack, ElementsAre(UnpackConfiguration{"linux/amd64", "sluice", "sluice-diff"}));
  ASSERT_TRUE(config.diff_order.has_value());
  EXPECT_THAT(*config.diff_order, ElementsAre("sluice-diff", "walking"));
  EXPECT_TRUE(config.cri.written);
  EXPECT_FALSE(config.cri.disabled);
  EXPECT_EQ(config.cri.snapshotter, "sluice");
  EXPECT_FALSE(config.cri.disable_snapshot_annotations);
  EXPECT_EQ(config.cri.hosts_dir, "/etc/certs.d");
  EXPECT_THAT(config.cri.runtime_snapshotters, ElementsAre("blockfile"));
}

// `containerd config dump` of 2.4.2, which was given what --print-config printed.
TEST(ContainerdConfigTest, ADumpOfContainerd24) {
  ASSERT_OK_AND_ASSIGN(const ContainerdConfig config, LoadContainerdConfig("cmd/doctor/testdata/containerd-2.4.toml"));
  EXPECT_EQ(config.address, "/run/containerd/containerd.sock");
  EXPECT_EQ(config.root, "/var/lib/containerd");
  ASSERT_TRUE(config.unpack.has_value());
  EXPECT_THAT(*config.unpack, ElementsAre(UnpackConfiguration{"linux/amd64", "overlayfs", "walking"},
                                          UnpackConfiguration{"linux/amd64", "sluice", "sluice-diff"}));
  EXPECT_THAT(config.proxies, ElementsAre(ProxyPlugin{"sluice",
                                                      "snapshot",
                                                      "/run/x.sock",
                                                      {{"address", "/run/x.sock"},
                                                       {"enable_remote_snapshot_annotations", "true"},
                                                       {"root", "/var/lib/containerd-sluice-grpc"}}},
                                          ProxyPlugin{"sluice-diff", "diff", "/run/x.sock", {}}));
  ASSERT_TRUE(config.diff_order.has_value());
  EXPECT_THAT(*config.diff_order, ElementsAre("walking"));
  EXPECT_FALSE(config.cri.disabled);
  EXPECT_EQ(config.cri.snapshotter, "overlayfs");
  EXPECT_TRUE(config.cri.disable_snapshot_annotations);
  EXPECT_EQ(config.cri.hosts_dir, "");
}

TEST(ContainerdConfigTest, TheSocketOfAVersion4File) {
  ContainerdConfig config;
  ASSERT_OK(ParseContainerdConfig(
      "version = 4\n[plugins.'io.containerd.server.v1.grpc']\n  address = '/run/other.sock'\n", config));
  EXPECT_EQ(config.address, "/run/other.sock");
}

TEST(ContainerdConfigTest, OfContainerd1) {
  ContainerdConfig config;
  ASSERT_OK(ParseContainerdConfig(R"(version = 2
disabled_plugins = ["cri"]
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "sluice"
  disable_snapshot_annotations = false
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
  snapshotter = "devmapper"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/a:/b"
)",
                                  config));
  EXPECT_TRUE(config.cri.disabled);
  EXPECT_EQ(config.cri.snapshotter, "sluice");
  EXPECT_FALSE(config.cri.disable_snapshot_annotations);
  EXPECT_EQ(config.cri.hosts_dir, "/a:/b");
  EXPECT_THAT(config.cri.runtime_snapshotters, ElementsAre("devmapper"));
  EXPECT_EQ(config.unpack, std::nullopt);
  EXPECT_EQ(config.diff_order, std::nullopt);
}

TEST(ContainerdConfigTest, WhatIsOfAnotherTypeIsNotLookedAt) {
  ContainerdConfig config;
  ASSERT_OK(ParseContainerdConfig("root = 3\ngrpc = 4\nproxy_plugins = [5]\nplugins = \"x\"\nimports = 1\n", config));
  EXPECT_EQ(config.root, "/var/lib/containerd");
  EXPECT_THAT(config.proxies, IsEmpty());
  ASSERT_OK(ParseContainerdConfig("[proxy_plugins.a]\ntype = 1\naddress = []\nexports = 2\n[proxy_plugins]\nb = 1\n",
                                  config));
  EXPECT_THAT(config.proxies, ElementsAre(ProxyPlugin{"a", "", "", {}}));
}

class LoadContainerdConfigTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_.At(name)) << text;
    return dir_.At(name);
  }

  testing::TempDir dir_;
};

TEST_F(LoadContainerdConfigTest, AMissingFileIsTheDefaults) {
  ASSERT_OK_AND_ASSIGN(const ContainerdConfig config, LoadContainerdConfig(dir_.At("none.toml")));
  EXPECT_EQ(config.path, dir_.At("none.toml"));
  EXPECT_EQ(config.address, "/run/containerd/containerd.sock");
  EXPECT_EQ(config.changed_at, absl::InfinitePast());
}

TEST_F(LoadContainerdConfigTest, ImportsComeOverTheFileThatImportsThem) {
  std::filesystem::create_directory(dir_.At("conf.d"));
  Write("conf.d/1.toml", "imports = [\"../main.toml\"]\n[proxy_plugins.a]\ntype = \"snapshot\"\naddress = \"/2\"\n");
  Write("conf.d/2.toml", "[proxy_plugins.b]\ntype = \"snapshot\"\naddress = \"/3\"\n");
  const std::string main = Write("main.toml",
                                 "imports = [\"conf.d/*.toml\"]\nroot = \"/r\"\n"
                                 "[proxy_plugins.a]\ntype = \"snapshot\"\naddress = \"/1\"\n");
  const timespec late[2] = {{2'000'000'000, 0}, {2'000'000'000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, dir_.At("conf.d/2.toml").c_str(), late, 0), 0);
  ASSERT_OK_AND_ASSIGN(const ContainerdConfig config, LoadContainerdConfig(main));
  EXPECT_EQ(config.root, "/r");
  EXPECT_THAT(config.proxies,
              ElementsAre(ProxyPlugin{"a", "snapshot", "/2", {}}, ProxyPlugin{"b", "snapshot", "/3", {}}));
  EXPECT_EQ(config.changed_at, absl::FromUnixSeconds(2'000'000'000));
}

TEST_F(LoadContainerdConfigTest, ErrorsNameFileAndLine) {
  const std::string bad = Write("bad.toml", "[grpc]\naddress = \n");
  EXPECT_THAT(LoadContainerdConfig(bad), StatusIs(absl::StatusCode::kInvalidArgument, absl::StrCat(bad, ":2: ")));
  const std::string main = Write("main.toml", absl::StrCat("imports = [\"", bad, "\"]\n"));
  EXPECT_THAT(LoadContainerdConfig(main), StatusIs(absl::StatusCode::kInvalidArgument, absl::StrCat(bad, ":2: ")));
}

TEST(ContainerdConfigTest, KeysAreOnlySoDeep) {
  std::string key = "a";
  for (int i = 0; i < 100'000; ++i) key += ".a";
  ContainerdConfig config;
  EXPECT_THAT(ParseContainerdConfig(key + " = 1\n", config),
              StatusIs(absl::StatusCode::kInvalidArgument, "1: more than 128 dots"));
}

TEST(ContainerdVersionTest, AsVersionsAreWritten) {
  EXPECT_EQ(ParseContainerdVersion("1.6.20~ds1"), (ContainerdVersion{1, 6, 20}));
  EXPECT_EQ(ParseContainerdVersion("v2.3.4"), (ContainerdVersion{2, 3, 4}));
  EXPECT_EQ(ParseContainerdVersion("2.4.0-beta.0"), (ContainerdVersion{2, 4, 0}));
  EXPECT_GT(*ParseContainerdVersion("1.7"), (ContainerdVersion{1, 7, 99}));
  EXPECT_LT(*ParseContainerdVersion("1.7"), (ContainerdVersion{2, 0, 0}));
  for (const char* text : {"", "2", "two", "2.", "v", ".1", "-1.2", "99999999999.1"}) {
    EXPECT_EQ(ParseContainerdVersion(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace sluice
