// Registries: containerd's hosts.toml beside what is really spoken.
#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cmd/doctor/check.h"

namespace sluice {
namespace {

std::string HostsToml(const NodeFacts& facts, const RegistryHostFacts& host, absl::string_view scheme) {
  const std::string file = host.hosts_file.empty()
                               ? absl::StrCat(facts.config.registry.hosts_dir, "/", host.host, "/hosts.toml")
                               : host.hosts_file;
  return absl::StrCat("in ", file, ":\n[host.\"", scheme, "://", host.address,
                      "\"]\n  capabilities = [\"pull\", \"resolve\"]");
}

void CheckHostsDir(const NodeFacts& facts, Findings& findings) {
  const std::string& ours = facts.config.registry.hosts_dir;
  const std::string& theirs = facts.containerd_config.cri.hosts_dir;
  const std::vector<std::string> directories = absl::StrSplit(theirs, ':', absl::SkipEmpty());
  if (!directories.empty() && !absl::c_linear_search(directories, ours)) {
    return findings.Warn("hosts-dir", absl::StrCat("the daemon reads ", ours, ", the kubelet's pulls ", theirs),
                         InDaemonConfig(facts, absl::StrCat("[registry]\nhosts_dir = \"", directories[0], "\"")));
  }
  if (facts.has_hosts_dir) return findings.Ok("hosts-dir", ours);
  if (ours == Config().registry.hosts_dir) {
    return findings.Ok("hosts-dir", absl::StrCat(ours, " is not there: what is usual holds"));
  }
  findings.Fail("hosts-dir", absl::StrCat(ours, ": no such directory"), absl::StrCat("mkdir -p ", ours));
}

void CheckHost(const NodeFacts& facts, const RegistryHostFacts& host, Findings& findings) {
  const bool by_https = host.scheme == "https";
  if (host.spoken == SpokenScheme::kNone) {
    return findings.Warn("host", absl::StrCat(host.host, ": nobody answers at ", host.address),
                         absl::StrCat("curl -v ", host.scheme, "://", host.address, "/v2/"));
  }
  if (by_https && host.spoken == SpokenScheme::kHttp && !host.falls_back) {
    if (!host.hosts_file.empty()) {
      return findings.Fail(
          "host", absl::StrCat(host.host, ": ", host.hosts_file, " says https, and ", host.address, " speaks http"),
          HostsToml(facts, host, "http"));
    }
    return findings.Warn(
        "host", absl::StrCat(host.host, ": speaks http, and containerd asks it by https: no hosts.toml says otherwise"),
        HostsToml(facts, host, "http"));
  }
  if (!by_https && host.spoken == SpokenScheme::kHttps && !host.hosts_file.empty()) {
    return findings.Fail(
        "host", absl::StrCat(host.host, ": ", host.hosts_file, " says http, and ", host.address, " speaks https"),
        HostsToml(facts, host, "https"));
  }
  findings.Ok("host", absl::StrCat(host.host, ": ", host.spoken == SpokenScheme::kHttp ? "http" : "https"));
}

void CheckHosts(const NodeFacts& facts, Findings& findings) {
  for (const RegistryHostFacts& host : facts.hosts) CheckHost(facts, host, findings);
}

constexpr Check kChecks[] = {
    {"hosts-dir", CheckHostsDir},
    {"host", CheckHosts},
};

}  // namespace

absl::Span<const Check> RegistryChecks() { return kChecks; }

}  // namespace sluice
