#include "cmd/registry_access.h"

#include <utility>

#include "registry/client/docker_credentials.h"

namespace sluice {

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
