#include "cmd/config.h"

#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using testing::StatusIs;

TEST(ConfigTest, EverythingIsOptional) {
  ASSERT_OK_AND_ASSIGN(const Config config, ParseConfig("", "c.toml"));
  EXPECT_TRUE(config.stores.empty());
  EXPECT_EQ(config.registry.hosts_dir, "/etc/containerd/certs.d");
  EXPECT_EQ(config.containerd.address, "/run/containerd/containerd.sock");
  EXPECT_FALSE(config.containerd.backfill_content);
  EXPECT_EQ(config.unpack.workers, 0);
  EXPECT_FALSE(config.unpack.sync_on_commit);
}

TEST(ConfigTest, ReadsEveryKey) {
  ASSERT_OK_AND_ASSIGN(const Config config, ParseConfig(R"(
[[store]]
kind = "oci-layout"
path = "/var/lib/registry"
registries = ["172.30.0.1:5000", "localhost:5000"]
[[store]]
kind = "zot"
path = "/srv/zot"
[[store]]
kind = "distribution"
path = "/srv/distribution"
registries = ["registry.lan:5000"]
require_link = true
[registry]
local_registries = ["*.internal", "100.64.0.0/10"]
hosts_dir = "/etc/certs.d"
plain_http_credentials = ["r:5000"]
docker_config = "/etc/sluice/docker"
max_downloads = 7
[[registry.policy]]
hosts = ["*.example.com"]
strategies = ["cached"]
max_downloads = 2
max_bytes_per_second = "50MiB"
[[registry.policy]]
hosts = ["10.0.0.0/8"]
[containerd]
address = "/run/c.sock"
content = "backfill"
[unpack]
workers = 3
sync = "commit"
[cache]
max_bytes = "20GiB"
min_free = "3GiB"
min_free_inodes = 5
[metrics]
address = "127.0.0.1:9464"
)",
                                                        "c.toml"));
  ASSERT_EQ(config.stores.size(), 3u);
  EXPECT_EQ(config.stores[0].kind, StoreKind::kOciLayout);
  EXPECT_EQ(config.stores[0].path, "/var/lib/registry");
  EXPECT_THAT(config.stores[0].registries, ElementsAre("172.30.0.1:5000", "localhost:5000"));
  EXPECT_FALSE(config.stores[0].require_link);
  EXPECT_EQ(config.stores[1].kind, StoreKind::kZot);
  EXPECT_EQ(config.stores[1].path, "/srv/zot");
  EXPECT_FALSE(config.stores[1].require_link);
  EXPECT_EQ(config.stores[2].kind, StoreKind::kDistribution);
  EXPECT_TRUE(config.stores[2].require_link);
  EXPECT_THAT(config.registry.local_registries, ElementsAre("*.internal", "100.64.0.0/10"));
  EXPECT_EQ(config.registry.hosts_dir, "/etc/certs.d");
  EXPECT_THAT(config.registry.plain_http_credentials, ElementsAre("r:5000"));
  EXPECT_EQ(config.containerd.address, "/run/c.sock");
  EXPECT_TRUE(config.containerd.backfill_content);
  EXPECT_EQ(config.unpack.workers, 3);
  EXPECT_TRUE(config.unpack.sync_on_commit);
  EXPECT_EQ(config.cache.max_bytes, int64_t{20} << 30);
  EXPECT_EQ(config.cache.min_free, int64_t{3} << 30);
  EXPECT_EQ(config.cache.min_free_inodes, 5);
  EXPECT_EQ(config.registry.docker_config, "/etc/sluice/docker");
  EXPECT_EQ(config.registry.max_downloads, 7);
  ASSERT_EQ(config.registry.policies.size(), 2u);
  const PolicyConfig& policy = config.registry.policies[0];
  EXPECT_THAT(policy.hosts, ElementsAre("*.example.com"));
  EXPECT_FALSE(policy.layout);
  EXPECT_FALSE(policy.stream);
  EXPECT_TRUE(policy.cached);
  EXPECT_EQ(policy.max_downloads, 2);
  EXPECT_EQ(policy.max_bytes_per_second, 50 << 20);
  EXPECT_TRUE(config.registry.policies[1].stream);
  ASSERT_TRUE(config.metrics.address.has_value());
  EXPECT_EQ(config.metrics.address->text, "127.0.0.1:9464");
}

// The example in the manual is one, and shows the defaults where it says nothing else.
TEST(ConfigTest, TheManualsExampleIsValid) {
  std::stringstream manual;
  manual << std::ifstream("docs/configuration.md").rdbuf();
  const std::string text = manual.str();
  const size_t begin = text.find("```toml\n");
  ASSERT_NE(begin, std::string::npos);
  const size_t first = begin + 8;
  ASSERT_OK_AND_ASSIGN(const Config config, ParseConfig(text.substr(first, text.find("```", first) - first), "manual"));
  EXPECT_EQ(config.stores.size(), 1u);
  EXPECT_EQ(config.registry.policies.size(), 1u);
  const Config defaults;
  EXPECT_EQ(config.registry.hosts_dir, defaults.registry.hosts_dir);
  EXPECT_EQ(config.registry.max_downloads, defaults.registry.max_downloads);
  EXPECT_EQ(config.containerd.address, defaults.containerd.address);
  EXPECT_EQ(config.containerd.backfill_content, defaults.containerd.backfill_content);
  EXPECT_EQ(config.cache.min_free, defaults.cache.min_free);
  EXPECT_EQ(config.cache.min_free_inodes, defaults.cache.min_free_inodes);
}

struct Bad {
  const char* name;
  const char* text;
  const char* message;
};

class ConfigErrorTest : public ::testing::TestWithParam<Bad> {};

TEST_P(ConfigErrorTest, NamesFileLineAndCause) {
  EXPECT_THAT(ParseConfig(GetParam().text, "c.toml"), StatusIs(absl::StatusCode::kInvalidArgument, GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, ConfigErrorTest,
    ::testing::Values(
        Bad{"UnknownTable", "\n\n[registri]\n", "config: c.toml:3: unknown key \"registri\"; known here: cache,"},
        Bad{"UnknownKey", "[registry]\nhost_dir = \"/a\"\n", "config: c.toml:2: unknown key \"registry.host_dir\""},
        Bad{"UnknownTopLevelKey", "root = \"/a\"\n", "config: c.toml:1: unknown key \"root\""},
        Bad{"UnknownKeyOfTwoLines", "\"ro\\not\" = 1\n", "config: c.toml:1: unknown key \"ro\\not\"; known here: "},
        Bad{"UnknownStoreKey", "[[store]]\nkind = \"oci-layout\"\npath = \"/a\"\ntag = 1\n",
            "config: c.toml:4: unknown key \"store.tag\""},
        Bad{"Syntax", "[unpack]\nworkers = \n", "config: c.toml:2: "},
        Bad{"WrongType", "[unpack]\nworkers = \"many\"\n", "c.toml:2: unpack.workers: must be a number from 0 to 1024"},
        Bad{"Negative", "[unpack]\nworkers = -1\n", "c.toml:2: unpack.workers: must be a number"},
        Bad{"BadChoice", "[unpack]\nsync = \"never\"\n", "c.toml:2: unpack.sync: must be \"background\" or \"commit\""},
        Bad{"BadContent", "[containerd]\ncontent = \"all\"\n",
            "c.toml:2: containerd.content: must be \"none\" or \"backfill\""},
        Bad{"RelativePath", "[containerd]\naddress = \"c.sock\"\n",
            "c.toml:2: containerd.address: must be an absolute path"},
        Bad{"StoreAsTable", "[store]\nkind = \"oci-layout\"\n", "c.toml:1: store: must be written [[store]]"},
        Bad{"StoreWithoutPath", "\n[[store]]\nkind = \"oci-layout\"\n", "c.toml:2: store.path: is missing"},
        Bad{"StoreKind", "[[store]]\nkind = \"ftp\"\npath = \"/a\"\n",
            "c.toml:1: store.kind: must be \"oci-layout\", \"zot\" or \"distribution\""},
        Bad{"StoreWithoutKind", "[[store]]\npath = \"/a\"\n", "c.toml:1: store.kind: must be \"oci-layout\""},
        Bad{"FlagIsText", "[[store]]\nkind = \"zot\"\npath = \"/a\"\nrequire_link = \"yes\"\n",
            "c.toml:4: store.require_link: must be true or false"},
        Bad{"LinksInALayout", "[[store]]\nkind = \"oci-layout\"\npath = \"/a\"\nrequire_link = true\n",
            "c.toml:1: store.require_link: an oci-layout has no repositories"},
        Bad{"LinksOfNobody", "[[store]]\nkind = \"zot\"\npath = \"/a\"\nrequire_link = true\n",
            "c.toml:1: store.require_link: needs registries"},
        Bad{"NumberInList", "[registry]\nlocal_registries = [\"a\",\n 5]\n",
            "c.toml:3: registry.local_registries: must be a list"},
        Bad{"BadSize", "[cache]\nmax_bytes = \"20 gigs\"\n", "c.toml:2: cache.max_bytes: must be a size like"},
        Bad{"UnknownStrategy", "[[registry.policy]]\nhosts = [\"a\"]\nstrategies = [\"defer\"]\n",
            "c.toml:3: registry.policy.strategies: must be a list of \"layout\", \"stream\" and \"cached\""},
        Bad{"PolicyWithoutHosts", "[[registry.policy]]\nmax_downloads = 1\n",
            "c.toml:1: registry.policy.hosts: is missing"},
        Bad{"TableIsAValue", "unpack = 3\n", "c.toml:1: unpack: must be a table"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ConfigTest, KeysAreOnlySoDeep) {
  std::string key = "a";
  for (int i = 0; i < 100'000; ++i) key += ".a";
  EXPECT_THAT(ParseConfig(absl::StrCat("\n", key, " = 1\n"), "c.toml"),
              StatusIs(absl::StatusCode::kInvalidArgument, "config: c.toml:2: more than 128 dots"));
}

TEST(ConfigTest, ByteSizes) {
  struct Case {
    const char* text;
    int64_t bytes;
  };
  for (const Case& size :
       {Case{"0", 0}, Case{"1000", 1000}, Case{"5B", 5}, Case{"2KB", 2000}, Case{"2KiB", 2048}, Case{"3MB", 3000000},
        Case{"3MiB", 3145728}, Case{"20GiB", 21474836480}, Case{"1TiB", 1099511627776}}) {
    ASSERT_OK_AND_ASSIGN(const int64_t bytes, ParseByteSize(size.text));
    EXPECT_EQ(bytes, size.bytes) << size.text;
  }
  for (const char* text :
       {"", "GiB", "-1", "1.5GiB", "1 GiB", "1gib", "99999999999999999999", "9000000TiB", "9999999TB"}) {
    EXPECT_THAT(ParseByteSize(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(ConfigTest, OnlyTheDefaultFileMayBeMissing) {
  const testing::TempDir dir;
  EXPECT_THAT(LoadConfig(dir.At("none.toml")), StatusIs(absl::StatusCode::kNotFound, dir.At("none.toml")));
  std::ofstream(dir.At("some.toml")) << "[unpack]\nworkers = 7\n";
  ASSERT_OK_AND_ASSIGN(const Config config, LoadConfig(dir.At("some.toml")));
  EXPECT_EQ(config.unpack.workers, 7);
  std::ofstream(dir.At("empty.toml")).close();
  EXPECT_OK(LoadConfig(dir.At("empty.toml")));
  EXPECT_THAT(LoadConfig(dir.path()), StatusIs(absl::StatusCode::kUnavailable, "can't be read"));
}

}  // namespace
}  // namespace sluice
