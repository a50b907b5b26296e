#include "registry/client/endpoints.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "registry/client/form_encoding.h"

namespace sluice {
namespace {

constexpr size_t kMaxCaBytes = 4 << 20;

// NotFound would be taken for the registry's.
absl::Status AsConfigurationError(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::FailedPreconditionError(status.message()) : status;
}

absl::StatusOr<std::string> ReadCa(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return AsConfigurationError(ErrnoStatus(errno, "open", path));
  std::string content(kMaxCaBytes, '\0');
  size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t count = read(fd.get(), &content[filled], content.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return AsConfigurationError(ErrnoStatus(errno, "read", path));
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  if (filled == content.size()) return absl::InvalidArgumentError(absl::StrCat(path, ": too large for certificates"));
  content.resize(filled);
  if (!absl::StrContains(content, "-----BEGIN ")) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no certificate in PEM form"));
  }
  return content;
}

absl::StatusOr<TlsOptions> TlsOf(const ConfiguredEndpoint& configured) {
  TlsOptions tls;
  tls.verify = !configured.skip_verify;
  for (const std::string& path : configured.ca_files) {
    ASSIGN_OR_RETURN(const std::string pem, ReadCa(path));
    absl::StrAppend(&tls.extra_ca_pem, pem, "\n");
  }
  // libcurl shows one; containerd would let the server's list of authorities choose among them.
  if (!configured.clients.empty()) {
    tls.certificate_file = configured.clients.front().certificate;
    tls.key_file = configured.clients.front().key;
  }
  return tls;
}

// "mirror.lan:5000", with a port only where one is written.
std::string HostAsWritten(const Url& url) {
  const std::string rest = url.text.substr(url.scheme.size() + 3);
  return rest.substr(0, rest.find('/'));
}

absl::Status CheckHost(absl::string_view host) {
  const bool is_host = !host.empty() && std::none_of(host.begin(), host.end(), [](char c) {
    return !absl::ascii_isgraph(c) || absl::StrContains("/?#@\\\"", c);
  });
  if (is_host) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("registry \"", absl::CHexEscape(host), "\": not a host"));
}

absl::Status CheckNotMetadata(absl::string_view host, absl::string_view asked) {
  if (!IsMetadataAddress(asked)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("registry ", host, ": the cloud's metadata service is never asked"));
}

}  // namespace

Endpoints::Endpoints(EndpointRules rules, HostsLoader load_hosts)
    : rules_(std::move(rules)),
      load_hosts_(std::move(load_hosts)),
      plain_http_credentials_(HostPatterns::Create(rules_.plain_http_credentials)) {}

absl::StatusOr<std::vector<EndpointSchemes>> Endpoints::Of(absl::string_view host) const {
  if (!plain_http_credentials_.ok()) return Annotate(plain_http_credentials_.status(), "plain_http_credentials");
  RETURN_IF_ERROR(CheckHost(host));
  RETURN_IF_ERROR(CheckNotMetadata(host, host));
  if (!rules_.hosts_dir.empty()) {
    const auto configured = load_hosts_(rules_.hosts_dir, host);
    if (!configured.ok()) return AsConfigurationError(configured.status());
    if (configured->has_value()) return Configured(host, **configured);
  }
  ASSIGN_OR_RETURN(EndpointSchemes usual, Usual(host));
  return std::vector<EndpointSchemes>{std::move(usual)};
}

absl::StatusOr<std::vector<EndpointSchemes>> Endpoints::Configured(
    absl::string_view host, const std::vector<ConfiguredEndpoint>& configured) const {
  std::vector<EndpointSchemes> endpoints;
  for (const ConfiguredEndpoint& entry : configured) {
    if (!entry.can_pull) continue;
    ASSIGN_OR_RETURN(EndpointSchemes schemes, Schemes(host, entry));
    endpoints.push_back(std::move(schemes));
  }
  if (!endpoints.empty()) return endpoints;
  return absl::NotFoundError(absl::StrCat("registry ", host, ": its hosts.toml allows no endpoint to pull from"));
}

absl::StatusOr<EndpointSchemes> Endpoints::Schemes(absl::string_view host, const ConfiguredEndpoint& entry) const {
  RegistryEndpoint endpoint;
  ASSIGN_OR_RETURN(endpoint.base, ParseUrl(entry.base));
  RETURN_IF_ERROR(CheckNotMetadata(host, endpoint.base.host));
  if (entry.is_mirror) endpoint.query = absl::StrCat("?", FormEncode({{"ns", std::string(host)}}));
  endpoint.can_resolve = entry.can_resolve;
  endpoint.credential_host = entry.is_mirror ? HostAsWritten(endpoint.base) : std::string(host);
  ASSIGN_OR_RETURN(endpoint.tls, TlsOf(entry));
  for (const auto& [name, value] : entry.headers) endpoint.headers.push_back(absl::StrCat(name, ": ", value));
  endpoint.connect_timeout = entry.dial_timeout;
  // What the file itself sends over http, credentials may go with.
  const bool plain_allowed = !entry.is_implied || plain_http_credentials_->Match(host);
  endpoint.allow_credentials = endpoint.base.scheme == "https" || plain_allowed;

  // A local host of which the file says no more than that it is there is asked as it would be without the file.
  const bool usual = entry.is_implied && entry.ca_files.empty() && entry.clients.empty() && entry.headers.empty() &&
                     rules_.locality.Classify(host) == Locality::kLocal;
  if (endpoint.base.scheme == "http" || !(entry.plain_http_fallback || usual)) return EndpointSchemes{endpoint};
  RegistryEndpoint plain = endpoint;
  ASSIGN_OR_RETURN(plain.base, ParseUrl(absl::StrCat("http", absl::StripPrefix(entry.base, "https"))));
  plain.allow_credentials = plain_allowed;
  if (!plain_allowed) plain.headers.clear();
  return EndpointSchemes{std::move(endpoint), std::move(plain)};
}

absl::StatusOr<EndpointSchemes> Endpoints::Usual(absl::string_view host) const {
  const auto endpoint = [&](absl::string_view base) -> absl::StatusOr<RegistryEndpoint> {
    RegistryEndpoint made;
    ASSIGN_OR_RETURN(made.base, ParseUrl(absl::StrCat(base, "/v2")));
    made.credential_host = std::string(host);
    made.allow_credentials = made.base.scheme == "https" || plain_http_credentials_->Match(host);
    made.connect_timeout = rules_.connect_timeout;
    return made;
  };
  const bool is_hub = host == "docker.io";
  ASSIGN_OR_RETURN(RegistryEndpoint https, endpoint(absl::StrCat("https://", is_hub ? "registry-1.docker.io" : host)));
  if (IsLoopbackHost(host)) {
    https.tls.verify = false;
    if (absl::EndsWith(host, ":443")) return EndpointSchemes{https};
    ASSIGN_OR_RETURN(const RegistryEndpoint http, endpoint(absl::StrCat("http://", host)));
    return EndpointSchemes{http, https};
  }
  if (rules_.locality.Classify(host) == Locality::kLocal) {
    ASSIGN_OR_RETURN(const RegistryEndpoint http, endpoint(absl::StrCat("http://", host)));
    return EndpointSchemes{https, http};
  }
  return EndpointSchemes{https};
}

}  // namespace sluice
