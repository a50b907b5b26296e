#include "snapshotter/fill/registry_policy.h"

namespace sluice {

const RegistryPolicy& RegistryPolicies::For(absl::string_view host) const {
  for (const RegistryPolicy& policy : policies_) {
    if (policy.hosts.Match(host)) return policy;
  }
  return default_;
}

}  // namespace sluice
