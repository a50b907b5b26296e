// What an operator allows and bounds per registry: [[registry.policy]] of the configuration.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "registry/download_limit.h"
#include "registry/host_patterns.h"
#include "snapshotter/fill/strategy.h"

namespace sluice {

struct RegistryPolicy {
  HostPatterns hosts;
  AllowedStrategies allowed;
  std::shared_ptr<DownloadLimit> limit;  // of all downloads from `hosts` together; null: none
};

// Thread-safe (const only).
class RegistryPolicies {
 public:
  RegistryPolicies() = default;
  explicit RegistryPolicies(std::vector<RegistryPolicy> policies) : policies_(std::move(policies)) {}

  // The first whose hosts match `host`, as in Reference::host; else everything is allowed, without bounds.
  const RegistryPolicy& For(absl::string_view host) const;

 private:
  std::vector<RegistryPolicy> policies_;
  RegistryPolicy default_;
};

}  // namespace sluice
