#include "cmd/provider_options.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "cmd/configured_stores.h"
#include "cmd/registry_access.h"
#include "glog/logging.h"
#include "registry/client/registry_client.h"
#include "registry/download_limit.h"
#include "registry/host_patterns.h"
#include "registry/locality.h"
#include "snapshotter/fill/registry_policy.h"

namespace sluice {
namespace {

// Known hosts are those that the configuration names with or without a port, but for patterns.
std::vector<std::string> KnownHosts(const Config& config) {
  std::vector<std::string> hosts;
  const auto add = [&hosts](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (name.find_first_of("*/") == std::string::npos) hosts.push_back(name);
    }
  };
  add(config.registry.local_registries);
  for (const StoreConfig& store : config.stores) add(store.registries);
  return hosts;
}

absl::StatusOr<RegistryPolicies> Policies(const Config& config) {
  std::vector<RegistryPolicy> policies;
  for (const PolicyConfig& policy : config.registry.policies) {
    absl::StatusOr<HostPatterns> hosts = HostPatterns::Create(policy.hosts);
    if (!hosts.ok()) return Annotate(hosts.status(), "config: registry.policy.hosts");
    RegistryPolicy made;
    made.hosts = *std::move(hosts);
    made.allowed = {.layout = policy.layout, .stream = policy.stream, .cached = policy.cached};
    if (policy.max_downloads > 0 || policy.max_bytes_per_second > 0) {
      made.limit = DownloadLimit::Create(static_cast<int>(policy.max_downloads), policy.max_bytes_per_second);
    }
    policies.push_back(std::move(made));
  }
  return RegistryPolicies(std::move(policies));
}

}  // namespace

absl::StatusOr<LayerProviderOptions> ProviderOptions(const Config& config) {
  LayerProviderOptions options;
  options.stores = MakeStores(config.stores);
  ASSIGN_OR_RETURN(options.policies, Policies(config));
  ASSIGN_OR_RETURN(RegistryAccess access, AccessFor(config));
  access.on_ignored_hosts = [](const absl::Status& ignored) { LOG(WARNING) << "not used: " << ignored.message(); };
  options.locality = access.locality;
  options.open_remote = [client = std::shared_ptr<const RegistryClient>(MakeRegistryClient(access))](
                            const Endpoint& endpoint, const PlannedBlob& blob, int64_t offset,
                            const Cancellation* cancellation) {
    return client->OpenBlob(endpoint.host, endpoint.repository,
                            {.digest = blob.digest, .size = blob.size, .offset = offset}, cancellation);
  };
  options.known_hosts = KnownHosts(config);
  options.hosts_dir = config.registry.hosts_dir;
  options.workers = static_cast<int>(config.unpack.workers);
  options.downloads = static_cast<int>(config.registry.max_downloads);
  return options;
}

LayerSources::Options SourcesOf(const LayerProviderOptions& options) {
  return {.stores = options.stores,
          .cache = options.cache,
          .content_store = options.content_store,
          .open_remote = options.open_remote,
          .locality = options.locality,
          .policies = options.policies};
}

OriginOptions OriginsOf(const LayerProviderOptions& options) {
  return {.locality = options.locality, .known_hosts = options.known_hosts, .hosts_dir = options.hosts_dir};
}

}  // namespace sluice
