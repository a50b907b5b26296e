// A list of registries as an operator writes it: host, host:port, *.suffix or CIDR.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "registry/host_port.h"

namespace sluice {

// Thread-safe (const only); copies share the list.
class HostPatterns {
 public:
  // Matches nothing.
  HostPatterns() = default;

  // A host without a port stands for all its ports; *.suffix for every name below the suffix, not for the suffix
  // itself. InvalidArgument naming the entry that is none of them.
  static absl::StatusOr<HostPatterns> Create(absl::Span<const std::string> entries);

  // `host` as in Reference::host.
  bool Match(absl::string_view host) const { return Match(SplitHostPort(host)); }
  bool Match(const HostPort& host) const;

 private:
  struct Pattern;
  static absl::StatusOr<std::shared_ptr<const Pattern>> Parse(absl::string_view entry);

  std::vector<std::shared_ptr<const Pattern>> patterns_;
};

}  // namespace sluice
