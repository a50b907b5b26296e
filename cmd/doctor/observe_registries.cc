#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "cmd/doctor/observe.h"
#include "cmd/doctor/spoken_scheme.h"
#include "registry/client/hosts_config.h"
#include "registry/host_port.h"
#include "registry/locality.h"

namespace sluice {
namespace {

constexpr size_t kMostPlaces = 16;
constexpr std::chrono::milliseconds kRequestLimit(1000);

// The host that a directory of hosts_dir is for: "172.30.0.1:5000", "172.30.0.1_5000_"; "" for _default.
std::string HostOf(const std::string& directory) {
  if (absl::StartsWith(directory, "_")) return "";
  if (!absl::EndsWith(directory, "_")) return directory;
  std::string host(absl::StripSuffix(directory, "_"));
  const size_t port = host.rfind('_');
  if (port != std::string::npos) host[port] = ':';
  return host;
}

std::set<std::string> HostsOf(const std::string& hosts_dir) {
  std::set<std::string> hosts;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(hosts_dir, error)) {
    const std::string host = HostOf(entry.path().filename());
    if (!host.empty()) hosts.insert(host);
  }
  return hosts;
}

// The file of hosts_dir that speaks of `host`, as LoadHostsConfig looks for it.
std::string HostsFile(const std::string& hosts_dir, const std::string& host) {
  const size_t colon = host.rfind(':');
  std::vector<std::string> names = {host, "_default"};
  if (colon != std::string::npos) {
    names.insert(names.begin(), absl::StrCat(host.substr(0, colon), "_", host.substr(colon + 1), "_"));
  }
  for (const std::string& name : names) {
    std::string file = absl::StrCat(hosts_dir, "/", name, "/hosts.toml");
    std::error_code error;
    if (std::filesystem::exists(file, error)) return file;
  }
  return "";
}

void AddPlace(RegistryHostFacts place, NodeFacts& facts) {
  if (place.address.empty() || facts.hosts.size() >= kMostPlaces) return;
  place.spoken = FindSpokenScheme(place.address, kRequestLimit);
  facts.hosts.push_back(std::move(place));
}

// Where the file sends those who want `host`.
void AddConfigured(const std::string& host, const ConfiguredEndpoint& endpoint, NodeFacts& facts) {
  RegistryHostFacts place;
  place.host = host;
  place.hosts_file = HostsFile(facts.config.registry.hosts_dir, host);
  absl::string_view rest = endpoint.base;
  place.scheme = absl::ConsumePrefix(&rest, "https://") ? "https" : "http";
  absl::ConsumePrefix(&rest, "http://");
  place.falls_back = endpoint.plain_http_fallback;
  place.address = LocalAddressOf(rest.substr(0, rest.find('/')), place.scheme == "https" ? "443" : "80");
  AddPlace(std::move(place), facts);
}

// Nothing is written of it: containerd asks a loopback host by http, any other by https.
void AddUsual(const std::string& host, NodeFacts& facts) {
  RegistryHostFacts place;
  place.host = host;
  place.scheme = IsLoopbackHost(host) ? "http" : "https";
  place.address = LocalAddressOf(host, place.scheme == "https" ? "443" : "80");
  AddPlace(std::move(place), facts);
}

}  // namespace

void ObserveRegistries(NodeFacts& facts) {
  const std::string& hosts_dir = facts.config.registry.hosts_dir;
  std::error_code error;
  facts.has_hosts_dir = std::filesystem::is_directory(hosts_dir, error);
  std::set<std::string> hosts = HostsOf(hosts_dir);
  for (const StoreConfig& store : facts.config.stores) hosts.insert(store.registries.begin(), store.registries.end());
  for (const std::string& name : facts.config.registry.local_registries) {
    if (!absl::StrContains(name, "*") && !absl::StrContains(name, "/")) hosts.insert(name);
  }
  for (const std::string& host : hosts) {
    if (!SplitHostPort(host).port.empty()) facts.known_hosts.push_back(host);
    const auto configured = LoadHostsConfig(hosts_dir, host);
    if (!configured.ok() || !configured->has_value()) {
      AddUsual(host, facts);
      continue;
    }
    for (const ConfiguredEndpoint& endpoint : **configured) {
      // The host itself, behind a mirror that the file names, is only asked when that fails.
      if (!endpoint.is_implied || (*configured)->size() == 1) AddConfigured(host, endpoint, facts);
    }
  }
}

}  // namespace sluice
