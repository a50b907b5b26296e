#include "cmd/registry_access.h"

#include <utility>

#include "base/status_macros.h"
#include "registry/client/docker_credentials.h"
#include "registry/host_patterns.h"

namespace sluice {

absl::StatusOr<RegistryAccess> AccessFor(const Config& config) {
  RegistryAccess access;
  absl::StatusOr<LocalityRules> locality = LocalityRules::Create(config.registry.local_registries);
  if (!locality.ok()) return Annotate(locality.status(), "config: registry.local_registries");
  access.locality = *std::move(locality);
  const absl::Status plain = HostPatterns::Create(config.registry.plain_http_credentials).status();
  if (!plain.ok()) return Annotate(plain, "config: registry.plain_http_credentials");
  access.hosts_dir = config.registry.hosts_dir;
  access.plain_http_credentials = config.registry.plain_http_credentials;
  access.docker_config = config.registry.docker_config;
  return access;
}

std::unique_ptr<RegistryClient> MakeRegistryClient(const RegistryAccess& access) {
  DockerCredentialOptions credentials = DockerCredentialOptions::FromEnvironment();
  if (!access.docker_config.empty()) credentials.docker_config = access.docker_config;
  RegistryClientOptions options;
  options.hosts_dir = access.hosts_dir;
  options.on_ignored_hosts = access.on_ignored_hosts;
  options.credentials = MakeDockerCredentials(credentials);
  options.plain_http_credentials = access.plain_http_credentials;
  return std::make_unique<RegistryClient>(access.locality, std::move(options));
}

}  // namespace sluice
