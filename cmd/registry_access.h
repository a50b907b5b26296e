// How registries are reached from this host: by the daemon, as its configuration says, and by the command line.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"

namespace sluice {

inline constexpr char kDefaultHostsDir[] = "/etc/containerd/certs.d";

struct RegistryAccess {
  LocalityRules locality;
  std::string hosts_dir = kDefaultHostsDir;  // need not exist
  std::vector<std::string> plain_http_credentials;
  std::string docker_config;  // directory of config.json; "": where docker itself would look
  std::function<void(const absl::Status&)> on_ignored_hosts;  // as in RegistryClientOptions
};

std::unique_ptr<RegistryClient> MakeRegistryClient(const RegistryAccess& access);

}  // namespace sluice
