// The daemon's configuration file (DESIGN §9). Everything is optional; what is not known is an error, since a misspelt
// key would otherwise be silently without effect.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cmd/metrics/listen_address.h"

namespace sluice {

enum class StoreKind { kOciLayout, kZot, kDistribution };

// As the configuration names it: "oci-layout", "zot", "distribution".
absl::string_view StoreKindName(StoreKind kind);

struct StoreConfig {
  StoreKind kind = StoreKind::kOciLayout;
  std::string path;                     // absolute
  std::vector<std::string> registries;  // whose tags it owns
  bool require_link = false;            // not of an oci-layout, which has no repositories
};

// [[registry.policy]]: the first whose hosts match a registry holds.
struct PolicyConfig {
  std::vector<std::string> hosts;  // as local_registries
  bool layout = true;              // strategies = ["layout", "stream", "cached"]
  bool stream = true;
  bool cached = true;
  int64_t max_downloads = 0;         // at once; 0: no bound
  int64_t max_bytes_per_second = 0;  // 0: no bound
};

struct Config {
  std::vector<StoreConfig> stores;
  struct {
    std::vector<std::string> local_registries;
    std::string hosts_dir = "/etc/containerd/certs.d";
    std::vector<std::string> plain_http_credentials;
    std::string docker_config;  // directory of config.json; empty: DOCKER_CONFIG, else HOME/.docker, else /root/.docker
    int64_t max_downloads = 4;  // layers at once, of all registries
    std::vector<PolicyConfig> policies;
  } registry;
  struct {
    std::string address = "/run/containerd/containerd.sock";
    bool backfill_content = false;  // content = "backfill"; default "none"
  } containerd;
  struct {
    int64_t workers = 0;          // 0: as many as there are cores
    bool sync_on_commit = false;  // sync = "commit"; default "background"
  } unpack;
  struct {
    int64_t max_bytes = 0;                // 0: the smaller of 20 GiB and a tenth of the file system
    int64_t min_free = int64_t{1} << 30;  // bytes that are left free on the file system
    int64_t min_free_inodes = 10'000;
  } cache;
  struct {
    std::optional<ListenAddress> address;  // unset (empty): none
  } metrics;
};

inline constexpr char kDefaultAddress[] = "/run/containerd-sluice-grpc/containerd-sluice-grpc.sock";
inline constexpr char kDefaultRoot[] = "/var/lib/containerd-sluice-grpc";
inline constexpr char kDefaultConfigPath[] = "/etc/containerd-sluice-grpc/config.toml";

// InvalidArgument "config: <name>:<line>: <key>: cause".
absl::StatusOr<Config> ParseConfig(absl::string_view text, const std::string& name);

// The file, or the defaults if it is `kDefaultConfigPath` and missing; NotFound for any other missing file.
absl::StatusOr<Config> LoadConfig(const std::string& path);

// "20GiB", "512MiB", "1000", "5GB" (powers of ten) → bytes. InvalidArgument for anything else.
absl::StatusOr<int64_t> ParseByteSize(absl::string_view text);

}  // namespace sluice
