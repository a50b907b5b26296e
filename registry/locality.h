// Is a registry on this machine or its private network? DESIGN: by the host as written, never by DNS.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sluice {

enum class Locality { kUnknown, kLocal, kRemote };

// Thread-safe (const only).
class LocalityRules {
 public:
  // `local_registries`: host, host:port, *.suffix or CIDR. A host without a port stands for all its ports; *.suffix for
  // every name below the suffix, not for the suffix itself. InvalidArgument naming the entry that is none of them.
  static absl::StatusOr<LocalityRules> Create(absl::Span<const std::string> local_registries);

  // `host` as in Reference::host; kUnknown only for the empty string. Local: localhost, an IP literal in loopback,
  // RFC 1918 or fc00::/7 (::ffff: forms too), or listed. Link-local is remote unless listed. Nothing else that a
  // resolver would take for an address is one here: "127.1", "0x7f000001", "10.0.0.1.", "[fd00::1%eth0]" are remote.
  Locality Classify(absl::string_view host) const;

  // Is `host` listed, whatever it is by itself? For other lists of hosts in the same form.
  bool Lists(absl::string_view host) const;

 private:
  struct Rule;
  std::vector<std::shared_ptr<const Rule>> rules_;
};

// localhost or a loopback literal: the hosts that containerd asks over plain http.
bool IsLoopbackHost(absl::string_view host);

// True for the cloud metadata addresses, 169.254.169.254 and fd00:ec2::254 in any spelling: never asked, listed or not.
bool IsMetadataAddress(absl::string_view host);

}  // namespace sluice
