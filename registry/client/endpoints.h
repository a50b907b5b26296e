// Where a registry is asked, and as whom: what hosts.toml says of its host, else what is usual for its kind of host.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/client/hosts_config.h"
#include "registry/client/http_stream.h"
#include "registry/host_patterns.h"
#include "registry/locality.h"

namespace sluice {

struct RegistryEndpoint {
  Url base;           // "https://mirror.lan:5000/v2"
  std::string query;  // "?ns=docker.io" for a mirror, else ""
  bool can_resolve = true;
  std::string credential_host;  // whose credentials it is shown: those of the image's host, or of the mirror
  bool allow_credentials = false;
  TlsOptions tls;
  std::vector<std::string> headers;  // "Name: value", secret
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
};

// One place under the schemes that it may speak, the usual one first: another is asked where that is not spoken.
using EndpointSchemes = std::vector<RegistryEndpoint>;

struct EndpointRules {
  LocalityRules locality;
  std::vector<std::string> plain_http_credentials;
  std::string hosts_dir;  // "" = none
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
};

// Thread-safe.
class Endpoints {
 public:
  using HostsLoader = std::function<absl::StatusOr<std::optional<std::vector<ConfiguredEndpoint>>>(
      const std::string& hosts_dir, absl::string_view host)>;

  Endpoints(EndpointRules rules, HostsLoader load_hosts);

  // Those of `host` (as in Reference::host) that may be pulled from, in the order in which they are asked; never empty.
  //
  // Without a hosts.toml: a loopback host by http unless its port is 443, else by https without checking its
  // certificate, as containerd; any other local host by https and, if it does not speak TLS, by http; a remote one by
  // https only. Credentials and hosts.toml's headers go over https, and over plain http where hosts.toml has written
  // http:// or the host is in `plain_http_credentials`.
  //
  // Errors: PermissionDenied a metadata address; NotFound hosts.toml allows none; InvalidArgument the configuration; as
  // LoadHostsConfig.
  absl::StatusOr<std::vector<EndpointSchemes>> Of(absl::string_view host) const;

 private:
  absl::StatusOr<std::vector<EndpointSchemes>> Configured(absl::string_view host,
                                                          const std::vector<ConfiguredEndpoint>& configured) const;
  absl::StatusOr<EndpointSchemes> Schemes(absl::string_view host, const ConfiguredEndpoint& entry) const;
  absl::StatusOr<EndpointSchemes> Usual(absl::string_view host) const;

  const EndpointRules rules_;
  const HostsLoader load_hosts_;
  const absl::StatusOr<HostPatterns> plain_http_credentials_;
};

}  // namespace sluice
