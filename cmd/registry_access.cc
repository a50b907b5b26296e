#include "cmd/registry_access.h"

#include <string>
#include <utility>

#include "registry/client/docker_credentials.h"
#include "registry/client/hosts_config.h"

namespace sluice {

std::unique_ptr<RegistryClient> MakeRegistryClient(const RegistryAccess& access) {
  DockerCredentialOptions credentials = DockerCredentialOptions::FromEnvironment();
  if (!access.docker_config.empty()) credentials.docker_config = access.docker_config;
  RegistryClientOptions options;
  options.hosts_dir = access.hosts_dir;
  options.load_hosts = [warn = access.warn](const std::string& hosts_dir, absl::string_view host) {
    absl::Status ignored;
    auto endpoints = LoadHostsConfig(hosts_dir, host, &ignored);
    if (!ignored.ok() && warn != nullptr) warn(ignored);
    return endpoints;
  };
  options.credentials = MakeDockerCredentials(credentials);
  options.plain_http_credentials = access.plain_http_credentials;
  return std::make_unique<RegistryClient>(access.locality, std::move(options));
}

}  // namespace sluice
