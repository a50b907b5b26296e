#include "registry/client/hosts_config.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "registry/client/certificate_files.h"
#include "registry/client/config_file.h"
#include "registry/client/host_url.h"
#include "registry/client/hosts_file.h"
#include "registry/ip_address.h"

namespace sluice {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 20;

// A path component that stays in its directory.
bool IsHost(absl::string_view host) {
  return !host.empty() && host != "." && host != ".." && std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("-.:[]", c);
  });
}

// False if nothing is at `path`.
absl::StatusOr<bool> Exists(const std::string& path) {
  struct stat attributes = {};
  if (::stat(path.c_str(), &attributes) == 0) return true;
  if (errno == ENOENT) return false;
  return ErrnoStatus(errno, "stat", path);
}

// hostPaths and hostDirectory in containerd's config_unix.go and hosts.go: the last colon counts, in an IPv6 address
// without a port, too.
absl::StatusOr<std::optional<std::string>> FindDirectory(absl::string_view hosts_dir, absl::string_view host) {
  std::vector<std::string> names;
  if (const size_t colon = host.rfind(':'); colon != absl::string_view::npos && colon > 0) {
    names.push_back(absl::StrCat(host.substr(0, colon), "_", host.substr(colon + 1), "_"));
  }
  names.push_back(std::string(host));
  names.push_back("_default");
  for (const std::string& name : names) {
    std::string path = absl::StrCat(absl::StripSuffix(hosts_dir, "/"), "/", name);
    ASSIGN_OR_RETURN(const bool exists, Exists(path));
    if (exists) return path;
  }
  return std::nullopt;
}

// Docker's convention (docker's certs.d): a *.crt is a CA, a *.cert is a client's certificate, whose key is in the
// *.key of the same name if that is there. In the order of the names. Unset if there is none.
absl::StatusOr<std::optional<HostsFileEntry>> ReadCertificateDirectory(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (stream == nullptr) return ErrnoStatus(errno, "opendir", directory);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = ::readdir(stream.get())) {
    if (entry->d_type != DT_DIR) names.push_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus(errno, "readdir", directory);
  std::sort(names.begin(), names.end());

  HostsFileEntry entry;
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (absl::EndsWith(name, ".crt")) {
      if (!entry.ca_files.has_value()) entry.ca_files.emplace();
      entry.ca_files->push_back(path);
    } else if (absl::EndsWith(name, ".cert")) {
      const std::string key = absl::StrCat(absl::StripSuffix(path, ".cert"), ".key");
      ASSIGN_OR_RETURN(const bool has_key, Exists(key));
      entry.clients.push_back({path, has_key ? key : ""});
    }
  }
  if (!entry.ca_files.has_value() && entry.clients.empty()) return std::nullopt;
  return entry;
}

// docker.IsLocalhost in containerd's core/remotes/docker/resolver.go: "[::1]" without a port is none.
bool IsLoopback(absl::string_view host) {
  const absl::string_view port = PortOf(host);
  if (!port.empty()) {
    host.remove_suffix(port.size() + 1);
    if (absl::ConsumePrefix(&host, "[")) host = absl::StripSuffix(host, "]");
  }
  const std::optional<IpAddress> address = IpAddress::Parse(host);
  return host == "localhost" || (address.has_value() && address->IsLoopback());
}

// Where `host` is without a `server` in the file. Its capabilities are all, whatever the file says (ConfigureHosts).
void SetImpliedServer(absl::string_view host, HostsFileEntry& root) {
  root.can_pull = root.can_resolve = true;
  root.url = {"https", std::string(host), "/v2"};
  if (host == "docker.io") root.url.host = "registry-1.docker.io";
  if (!IsLoopback(host)) return;
  const absl::string_view port = PortOf(host);
  if (!port.empty() && port != "443") root.url.scheme = "http";
  if (port != "80") root.skip_verify = true;
}

bool HasControlCharacters(const HostsFileEntry& entry) {
  const auto has = [](const std::string& text) { return std::any_of(text.begin(), text.end(), absl::ascii_iscntrl); };
  return std::any_of(entry.headers.begin(), entry.headers.end(),
                     [&](const auto& header) { return has(header.first) || has(header.second); });
}

absl::Status CheckCertificates(const HostsFileEntry& entry) {
  if (entry.ca_files.has_value()) {
    for (const std::string& file : *entry.ca_files) RETURN_IF_ERROR(Annotate(CheckCaFile(file), "ca"));
  }
  for (const auto& client : entry.clients) {
    RETURN_IF_ERROR(Annotate(CheckClientCertificate(client.certificate, client.key), "client"));
  }
  return absl::OkStatus();
}

ConfiguredEndpoint MakeEndpoint(HostsFileEntry entry, absl::string_view host) {
  ConfiguredEndpoint endpoint;
  // Written "http://", but with something to do TLS with: first tried that way (ConfigureHosts,
  // docker.NewHTTPFallback).
  const bool tls = entry.ca_files.has_value() || !entry.clients.empty() || entry.skip_verify.has_value();
  if (entry.url.scheme == "http" && tls && PortOf(entry.url.host) != "80") {
    entry.url.scheme = "https";
    endpoint.plain_http_fallback = true;
  }
  endpoint.base = entry.url.ToString();
  endpoint.can_pull = entry.can_pull;
  endpoint.can_resolve = entry.can_resolve;
  // RegistryHost.isProxy in containerd's core/remotes/docker/registry.go.
  endpoint.is_mirror = entry.url.host != host && !(host == "docker.io" && entry.url.host == "registry-1.docker.io");
  if (entry.ca_files.has_value()) endpoint.ca_files = *std::move(entry.ca_files);
  endpoint.clients = std::move(entry.clients);
  endpoint.skip_verify = entry.skip_verify.value_or(false);
  endpoint.headers = std::move(entry.headers);
  endpoint.dial_timeout = entry.dial_timeout.value_or(endpoint.dial_timeout);
  return endpoint;
}

// The places of `directory`; empty if nothing in it counts.
absl::StatusOr<std::vector<HostsFileEntry>> LoadDirectory(const std::string& directory, absl::Status* ignored) {
  const std::string path = absl::StrCat(directory, "/hosts.toml");
  absl::StatusOr<std::string> text = ReadConfigFile(path, kMaxFileBytes);
  if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
  if (text.ok() && !text->empty()) {
    absl::StatusOr<std::vector<HostsFileEntry>> entries = ParseHostsFile(*text, directory);
    if (entries.ok()) return entries;
    if (ignored != nullptr) {
      *ignored = absl::InvalidArgumentError(absl::StrCat(path, ":", entries.status().message()));
    }
  }
  ASSIGN_OR_RETURN(std::optional<HostsFileEntry> entry, ReadCertificateDirectory(directory));
  std::vector<HostsFileEntry> entries;
  if (entry.has_value()) entries.push_back(*std::move(entry));
  return entries;
}

absl::StatusOr<std::optional<std::vector<ConfiguredEndpoint>>> Load(const std::string& hosts_dir,
                                                                    absl::string_view host, absl::Status* ignored) {
  if (!IsHost(host)) return absl::InvalidArgumentError("not a host name");
  ASSIGN_OR_RETURN(const std::optional<std::string> directory, FindDirectory(hosts_dir, host));
  if (!directory.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(std::vector<HostsFileEntry> entries, LoadDirectory(*directory, ignored));
  if (entries.empty()) return std::nullopt;

  const bool implied = entries.back().url.host.empty();
  if (implied) SetImpliedServer(host, entries.back());
  std::vector<ConfiguredEndpoint> endpoints;
  for (HostsFileEntry& entry : entries) {
    RETURN_IF_ERROR(Annotate(CheckCertificates(entry), *directory));
    // containerd tries these as well; Go's HTTP client then refuses each request.
    if (!entry.url.Usable() || HasControlCharacters(entry)) continue;
    endpoints.push_back(MakeEndpoint(std::move(entry), host));
    endpoints.back().is_implied = implied && &entry == &entries.back();
  }
  return endpoints;
}

}  // namespace

absl::StatusOr<std::optional<std::vector<ConfiguredEndpoint>>> LoadHostsConfig(const std::string& hosts_dir,
                                                                               absl::string_view host,
                                                                               absl::Status* ignored) {
  if (ignored != nullptr) *ignored = absl::OkStatus();
  auto endpoints = Load(hosts_dir, host, ignored);
  if (!endpoints.ok()) return Annotate(endpoints.status(), absl::StrCat("hosts of ", host));
  if (ignored != nullptr) *ignored = Annotate(*ignored, absl::StrCat("hosts of ", host));
  return endpoints;
}

}  // namespace sluice
