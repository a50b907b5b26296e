// The daemon's configuration file (DESIGN §9). Everything is optional; what is not known is an error, since a misspelt
// key would otherwise be silently without effect.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

enum class StoreKind { kOciLayout, kZot, kDistribution };

struct StoreConfig {
  StoreKind kind = StoreKind::kOciLayout;
  std::string path;                     // absolute
  std::vector<std::string> registries;  // whose tags it owns
  bool require_link = false;            // not of an oci-layout, which has no repositories
};

struct Config {
  std::vector<StoreConfig> stores;
  struct {
    std::vector<std::string> local_registries;
    std::string hosts_dir = "/etc/containerd/certs.d";
    std::vector<std::string> plain_http_credentials;
  } registry;
  struct {
    std::string address = "/run/containerd/containerd.sock";
  } containerd;
  struct {
    int64_t workers = 0;          // 0: as many as there are cores
    bool sync_on_commit = false;  // sync = "commit"; default "background"
  } unpack;
  struct {
    int64_t max_bytes = 0;  // 0: the smaller of 20 GiB and a tenth of the file system
  } cache;
  struct {
    std::string address;  // empty: none
  } metrics;
};

inline constexpr char kDefaultConfigPath[] = "/etc/containerd-sluice-grpc/config.toml";

// InvalidArgument "config: <name>:<line>: <key>: cause".
absl::StatusOr<Config> ParseConfig(absl::string_view text, const std::string& name);

// The file, or the defaults if it is `kDefaultConfigPath` and missing; NotFound for any other missing file.
absl::StatusOr<Config> LoadConfig(const std::string& path);

// "20GiB", "512MiB", "1000", "5GB" (powers of ten) → bytes. InvalidArgument for anything else.
absl::StatusOr<int64_t> ParseByteSize(absl::string_view text);

}  // namespace sluice
