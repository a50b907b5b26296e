// containerd: is it the right one, does it know us, by which name?
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cmd/doctor/check.h"

namespace sluice {
namespace {

constexpr char kRestart[] = "systemctl restart containerd";
constexpr char kSnapshotterType[] = "io.containerd.snapshotter.v1";
// nerdctl pkg/imgutil/snapshotter.go: a name with one of these in it is taken for that snapshotter.
constexpr const char* kTakenNames[] = {"overlaybd", "stargz", "nydus", "soci", "cvmfs-snapshotter"};

std::string ConfigureAddress(const NodeFacts& facts, const std::string& address) {
  return InDaemonConfig(facts, absl::StrCat("[containerd]\naddress = \"", address, "\""));
}

// The lines of one proxy plugin.
std::string ProxyTable(const NodeFacts& facts, absl::string_view name) {
  std::string lines =
      absl::StrCat("[proxy_plugins.", name, "]\n  type = \"snapshot\"\n  address = \"", facts.address, "\"");
  if (facts.containerd.version.has_value() && !ReadsExportsRoot(*facts.containerd.version)) return lines;
  return absl::StrCat(lines, "\n  [proxy_plugins.", name, ".exports]\n    root = \"", facts.root, "\"");
}

const LoadedPlugin* FindPlugin(const NodeFacts& facts, absl::string_view type, const std::string& id) {
  const auto found = absl::c_find_if(
      facts.containerd.plugins, [&](const LoadedPlugin& plugin) { return plugin.type == type && plugin.id == id; });
  return found == facts.containerd.plugins.end() ? nullptr : &*found;
}

void CheckContainerd(const NodeFacts& facts, Findings& findings) {
  const ContainerdFacts& containerd = facts.containerd;
  if (containerd.answers.ok()) {
    return findings.Ok("containerd", absl::StrCat(containerd.address, ": containerd ", containerd.version_text));
  }
  if (containerd.socket.state == SocketState::kNoAccess) {
    return findings.Fail("containerd", absl::StrCat(containerd.address, ": permission denied"),
                         "sudo sluicectl doctor");
  }
  const std::string seen = absl::StrCat(containerd.address, ": ", containerd.answers.message());
  if (containerd.others.empty()) return findings.Fail("containerd", seen, "systemctl start containerd");
  findings.Fail("containerd", absl::StrCat(seen, "; one serves ", absl::StrJoin(containerd.others, ", ")),
                ConfigureAddress(facts, containerd.others[0]));
}

void CheckContainerdConfig(const NodeFacts& facts, Findings& findings) {
  if (facts.containerd_config_status.ok()) return;
  findings.Fail("containerd-config", std::string(facts.containerd_config_status.message()),
                "sluicectl doctor --containerd-config FILE");
}

// The one that has us registered is the one that we must ask.
void CheckAddress(const NodeFacts& facts, Findings& findings) {
  if (OurProxies(facts, "snapshot").empty()) return;
  const std::string& registered = facts.containerd_config.address;
  if (facts.configured_containerd == registered) {
    return findings.Ok("containerd-address", registered);
  }
  findings.Fail("containerd-address",
                absl::StrCat("the daemon asks ", facts.configured_containerd, ", but the containerd that has it in ",
                             facts.containerd_config.path, " is at ", registered),
                ConfigureAddress(facts, registered));
}

void CheckRegistered(const NodeFacts& facts, Findings& findings) {
  if (!facts.containerd_config_status.ok()) return;
  const std::vector<ProxyPlugin> ours = OurProxies(facts, "snapshot");
  if (!ours.empty()) {
    return findings.Ok("registered",
                       absl::StrCat("[proxy_plugins.", ours[0].name, "] in ", facts.containerd_config.path));
  }
  for (const ProxyPlugin& proxy : facts.containerd_config.proxies) {
    if (proxy.name != "sluice" || proxy.address == facts.address) continue;
    return findings.Fail(
        "registered",
        absl::StrCat("[proxy_plugins.sluice] has the address ", proxy.address, ", the daemon's is ", facts.address),
        InContainerdConfig(facts, ProxyTable(facts, "sluice")));
  }
  findings.Fail("registered",
                absl::StrCat("no snapshotter of ", facts.containerd_config.path, " has the address ", facts.address),
                InContainerdConfig(facts, ProxyTable(facts, "sluice")));
}

// containerd reads its configuration once.
void CheckLoaded(const NodeFacts& facts, Findings& findings) {
  if (!facts.containerd.answers.ok()) return;
  for (const ProxyPlugin& proxy : OurProxies(facts, "snapshot")) {
    const LoadedPlugin* plugin = FindPlugin(facts, kSnapshotterType, proxy.name);
    if (plugin == nullptr) {
      findings.Fail("loaded", absl::StrCat(proxy.name, " is configured, but containerd was not restarted since"),
                    kRestart);
    } else if (!plugin->error.empty()) {
      findings.Fail("loaded", absl::StrCat(proxy.name, ": ", plugin->error), kRestart);
    } else if (facts.containerd.started.has_value() && facts.containerd_config.changed_at > *facts.containerd.started) {
      findings.Warn("loaded",
                    absl::StrCat(proxy.name, " is loaded, but ", facts.containerd_config.path,
                                 " was changed after containerd's start: what it says now does not hold yet"),
                    kRestart);
    } else {
      findings.Ok("loaded", proxy.name);
    }
  }
}

void CheckName(const NodeFacts& facts, Findings& findings) {
  for (const ProxyPlugin& proxy : OurProxies(facts, "snapshot")) {
    const auto taken =
        absl::c_find_if(kTakenNames, [&](const char* name) { return absl::StrContains(proxy.name, name); });
    const std::string rename = InContainerdConfig(
        facts, absl::StrCat(ProxyTable(facts, "sluice"), "\nin place of [proxy_plugins.", proxy.name, "]"));
    if (taken != std::end(kTakenNames)) {
      findings.Fail("name",
                    absl::StrCat(proxy.name, ": nerdctl takes a name with \"", *taken, "\" in it for that snapshotter"),
                    rename);
    } else if (absl::StrContains(proxy.name, "/")) {
      findings.Fail("name", absl::StrCat(proxy.name, ": a name with a slash loses its images to garbage collection"),
                    rename);
    } else {
      findings.Ok("name", proxy.name);
    }
  }
}

void CheckOneContainerd(const NodeFacts& facts, Findings& findings) {
  const std::vector<ProxyPlugin> ours = OurProxies(facts, "snapshot");
  constexpr char kOwnDaemon[] =
      "containerd-sluice-grpc --config FILE --root DIRECTORY --address SOCKET, one for each containerd";
  if (facts.daemon.has_value() && !facts.daemon->refusal.empty()) {
    findings.Fail("one-containerd", facts.daemon->refusal, kOwnDaemon);
  } else if (facts.daemon.has_value() && !facts.daemon->containerd_uuid.empty() && !facts.containerd.uuid.empty() &&
             facts.daemon->containerd_uuid != facts.containerd.uuid && !ours.empty()) {
    findings.Fail("one-containerd",
                  absl::StrCat("containerd at ", facts.containerd.address, " has UUID ", facts.containerd.uuid,
                               ", the daemon serves the one with UUID ", facts.daemon->containerd_uuid),
                  kOwnDaemon);
  }
  if (ours.size() < 2) return;
  std::vector<std::string> names;
  for (const ProxyPlugin& proxy : ours) names.push_back(proxy.name);
  findings.Warn("one-containerd",
                absl::StrCat("two names for one daemon: ", absl::StrJoin(names, ", "),
                             ": an image that was pulled under one is not there under the other"),
                InContainerdConfig(facts, absl::StrCat("remove [proxy_plugins.", names.back(), "]")));
}

constexpr Check kChecks[] = {
    {"containerd", CheckContainerd},
    {"containerd-config", CheckContainerdConfig},
    {"containerd-address", CheckAddress},
    {"registered", CheckRegistered},
    {"loaded", CheckLoaded},
    {"name", CheckName},
    {"one-containerd", CheckOneContainerd},
};

}  // namespace

absl::Span<const Check> ContainerdChecks() { return kChecks; }

}  // namespace sluice
