// How registries are reached from this host: by the daemon, as its configuration says, and by the command line.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cmd/config.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"

namespace sluice {

struct RegistryAccess {
  LocalityRules locality;
  std::string hosts_dir;  // need not exist
  std::vector<std::string> plain_http_credentials;
  std::string docker_config;  // directory of config.json; "": where docker itself would look
  std::function<void(const absl::Status&)> on_ignored_hosts;  // as in RegistryClientOptions
};

// As [registry] says. InvalidArgument naming the key whose hosts are none.
absl::StatusOr<RegistryAccess> AccessFor(const Config& config);

std::unique_ptr<RegistryClient> MakeRegistryClient(const RegistryAccess& access);

}  // namespace sluice
