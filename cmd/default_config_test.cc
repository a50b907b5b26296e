#include "cmd/default_config.h"

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cmd/config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using Names = std::set<std::string>;

TEST(DefaultConfigTest, IsWhatHoldsWithoutAFile) {
  ASSERT_OK_AND_ASSIGN(const Config written, ParseConfig(kDefaultConfig, "default"));
  const Config defaults;
  EXPECT_TRUE(written.stores.empty());
  EXPECT_EQ(written.registry.local_registries, defaults.registry.local_registries);
  EXPECT_EQ(written.registry.hosts_dir, defaults.registry.hosts_dir);
  EXPECT_EQ(written.registry.plain_http_credentials, defaults.registry.plain_http_credentials);
  EXPECT_EQ(written.registry.docker_config, defaults.registry.docker_config);
  EXPECT_EQ(written.registry.max_downloads, defaults.registry.max_downloads);
  EXPECT_TRUE(written.registry.policies.empty());
  EXPECT_EQ(written.containerd.address, defaults.containerd.address);
  EXPECT_EQ(written.unpack.workers, defaults.unpack.workers);
  EXPECT_EQ(written.unpack.sync_on_commit, defaults.unpack.sync_on_commit);
  EXPECT_EQ(written.cache.max_bytes, defaults.cache.max_bytes);
  EXPECT_EQ(written.cache.min_free, defaults.cache.min_free);
  EXPECT_EQ(written.cache.min_free_inodes, defaults.cache.min_free_inodes);
  EXPECT_EQ(written.metrics.address.has_value(), defaults.metrics.address.has_value());
}

// The text with its commented keys and tables in force.
std::string Uncommented() {
  return std::regex_replace(std::string(kDefaultConfig), std::regex("^# (\\[|[a-z_]+ = )", std::regex::multiline),
                            "$1");
}

TEST(DefaultConfigTest, WhatIsCommentedIsValidToo) {
  ASSERT_OK_AND_ASSIGN(const Config config, ParseConfig(Uncommented(), "default"));
  ASSERT_EQ(config.stores.size(), 1u);
  ASSERT_EQ(config.registry.policies.size(), 1u);
  EXPECT_TRUE(config.registry.policies[0].layout && config.registry.policies[0].cached);
}

// A key that the parser knows, by what it says of one that it does not.
Names KnownKeys(const std::string& header) {
  const absl::Status refused = ParseConfig(absl::StrCat(header, "\nno_such_key = 1\n"), "x").status();
  const std::vector<std::string> parts = absl::StrSplit(refused.message(), "known here: ");
  EXPECT_EQ(parts.size(), 2u) << refused;
  return absl::StrSplit(parts.back(), ", ");
}

TEST(DefaultConfigTest, HasEveryKey) {
  // The table that each of its lines is in, with the keys that stand there.
  std::map<std::string, Names> written;
  std::string table;
  for (absl::string_view line : absl::StrSplit(Uncommented(), '\n')) {
    std::smatch match;
    const std::string text(line);
    if (std::regex_search(text, match, std::regex("^\\[+[a-z.]+\\]+"))) table = match.str();
    if (std::regex_search(text, match, std::regex("^([a-z_]+) = "))) written[table].insert(match.str(1));
  }
  for (const auto& [header, keys] : written) {
    Names known = KnownKeys(header);
    known.erase("policy");  // of [registry]: a table of its own
    EXPECT_EQ(keys, known) << header;
  }
  Names tables = KnownKeys("");
  for (const auto& [header, keys] : written) {
    tables.erase(std::string(
        absl::StripSuffix(absl::StripPrefix(absl::StrReplaceAll(header, {{"[[", "["}, {"]]", "]"}}), "["), "]")));
  }
  EXPECT_EQ(tables, Names()) << "tables that are not in it";
}

}  // namespace
}  // namespace sluice
