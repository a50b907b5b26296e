#include "registry/locality.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "registry/host_port.h"
#include "registry/ip_address.h"

namespace sluice {
namespace {

bool IsLocalByItself(const HostPort& host) {
  if (host.name == "localhost") return true;
  return host.address.has_value() && (host.address->IsLoopback() || host.address->IsPrivate());
}

}  // namespace

absl::StatusOr<LocalityRules> LocalityRules::Create(absl::Span<const std::string> local_registries) {
  LocalityRules rules;
  ASSIGN_OR_RETURN(rules.listed_, HostPatterns::Create(local_registries));
  return rules;
}

Locality LocalityRules::Classify(absl::string_view host) const {
  if (host.empty()) return Locality::kUnknown;
  const HostPort split = SplitHostPort(host);
  return IsLocalByItself(split) || listed_.Match(split) ? Locality::kLocal : Locality::kRemote;
}

bool IsLoopbackHost(absl::string_view host) {
  const HostPort split = SplitHostPort(host);
  return split.name == "localhost" || (split.address.has_value() && split.address->IsLoopback());
}

bool IsMetadataAddress(absl::string_view host) {
  HostPort split = SplitHostPort(host);
  if (split.address.has_value()) return split.address->IsMetadata();
  std::string name = split.name;
  while (!name.empty() && name.back() == '.') name.pop_back();
  if (const size_t zone = name.find('%'); zone != std::string::npos) name.resize(zone);
  if (const std::optional<IpAddress> address = IpAddress::Parse(name)) return address->IsMetadata();
  // What a resolver still takes for an address: decimal, octal, hexadecimal and short forms.
  in_addr loose = {};
  if (inet_aton(name.c_str(), &loose) == 0) return false;
  std::array<uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &loose, sizeof(loose));
  return IpAddress::FromV4(bytes).IsMetadata();
}

}  // namespace sluice
