#include "cmd/config.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

void CheckConfig(const Config& config) {
  for (const StoreConfig& store : config.stores) {
    EXPECT_TRUE(absl::StartsWith(store.path, "/")) << store.path;
    EXPECT_FALSE(store.require_link && store.registries.empty());
  }
  for (const PolicyConfig& policy : config.registry.policies) {
    EXPECT_FALSE(policy.hosts.empty());
    EXPECT_GE(policy.max_downloads, 0);
    EXPECT_GE(policy.max_bytes_per_second, 0);
  }
  EXPECT_GE(config.registry.max_downloads, 1);
  EXPECT_GE(config.unpack.workers, 0);
  EXPECT_GE(config.cache.max_bytes, 0);
  EXPECT_GE(config.cache.min_free, 0);
  EXPECT_GE(config.cache.min_free_inodes, 0);
  EXPECT_TRUE(absl::StartsWith(config.registry.hosts_dir, "/")) << config.registry.hosts_dir;
  EXPECT_TRUE(absl::StartsWith(config.containerd.address, "/")) << config.containerd.address;
}

}  // namespace

SLUICE_FUZZ_TARGET(input) {
  const absl::StatusOr<Config> config = ParseConfig(input, "config.toml");
  ExpectGoodMessage(config.status());
  if (config.ok()) {
    CheckConfig(*config);
  } else {
    EXPECT_TRUE(absl::StartsWith(config.status().message(), "config: config.toml:")) << config.status();
  }
  const absl::StatusOr<int64_t> bytes = ParseByteSize(input);
  EXPECT_TRUE(!bytes.ok() || *bytes >= 0) << *bytes;
}

}  // namespace sluice::testing
