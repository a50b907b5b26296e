// What containerd's clients (ctr, nerdctl, the kubelet) need beside the plugin itself.
#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cmd/doctor/check.h"
#include "cmd/doctor/print_config.h"

namespace sluice {
namespace {

constexpr char kOverlayfs[] = "overlayfs";
// Named, because containerd would else choose among all differs, ours included.
constexpr char kOverlayfsDiffer[] = "walking";
constexpr char kKubernetes[] = "k8s.io";
constexpr size_t kMostImages = 10;

bool Uses(const std::vector<ProxyPlugin>& proxies, const std::string& name) {
  return absl::c_any_of(proxies, [&name](const ProxyPlugin& proxy) { return proxy.name == name; });
}

bool Lists(const std::vector<UnpackConfiguration>& entries, const std::string& snapshotter) {
  return absl::c_any_of(entries, [&](const UnpackConfiguration& entry) { return entry.snapshotter == snapshotter; });
}

// The lines for a snapshotter of ours, with our differ if that is registered.
std::string OurEntry(const NodeFacts& facts, const std::string& name) {
  const std::vector<ProxyPlugin> differs = OurProxies(facts, "diff");
  return UnpackEntry(name, differs.empty() ? "" : differs[0].name);
}

// containerd pulls by its transfer service, which unpacks for listed snapshotters only.
void CheckTransfer(const NodeFacts& facts, Findings& findings) {
  const std::vector<ProxyPlugin> ours = OurProxies(facts, "snapshot");
  if (ours.empty() || !facts.containerd.version.has_value()) return;
  if (*facts.containerd.version < kSinceTransferPull) {
    return findings.Ok("transfer", "clients of containerd 1.x pull without the transfer service");
  }
  const std::string& name = ours[0].name;
  if (!facts.containerd_config.unpack.has_value()) {
    return findings.Fail(
        "transfer",
        absl::StrCat("no unpack_config: containerd's own has overlayfs alone, and a pull with ", name,
                     " ends with \"no unpack platforms defined\""),
        InContainerdConfig(facts, absl::StrCat(UnpackEntry(kOverlayfs, kOverlayfsDiffer), OurEntry(facts, name))));
  }
  const std::vector<UnpackConfiguration>& entries = *facts.containerd_config.unpack;
  if (!Lists(entries, name)) {
    return findings.Fail(
        "transfer",
        absl::StrCat("unpack_config lacks ", name, ": a pull with it ends with \"no unpack platforms defined\""),
        InContainerdConfig(facts, OurEntry(facts, name)));
  }
  for (const UnpackConfiguration& entry : entries) {
    if (entry.differ.empty() || entry.differ == "walking" || entry.differ == "erofs") continue;
    const auto has_name = [&](const ProxyPlugin& proxy) { return proxy.type == "diff" && proxy.name == entry.differ; };
    if (absl::c_any_of(facts.containerd_config.proxies, has_name)) continue;
    return findings.Fail("transfer",
                         absl::StrCat("unpack_config names the differ ", entry.differ,
                                      ", which is not registered: containerd starts without CRI and without pulls"),
                         InContainerdConfig(facts, DiffProxyTable(entry.differ, facts.address)));
  }
  if (!Lists(entries, kOverlayfs)) {
    return findings.Warn(
        "transfer",
        absl::StrCat("unpack_config lists ", name, " alone: pulls with overlayfs fail, its default is gone"),
        InContainerdConfig(facts, UnpackEntry(kOverlayfs, kOverlayfsDiffer)));
  }
  findings.Ok("transfer", absl::StrCat("unpack_config has ", name, " and overlayfs"));
}

bool IsNamedByUnpackConfig(const ContainerdConfig& config, const std::string& differ) {
  return config.unpack.has_value() &&
         absl::c_any_of(*config.unpack, [&differ](const UnpackConfiguration& entry) { return entry.differ == differ; });
}

// In the diff service's list a differ is asked first by every pull, with whatever snapshotter.
void CheckDiffer(const NodeFacts& facts, Findings& findings) {
  const std::vector<ProxyPlugin> ours = OurProxies(facts, "diff");
  if (ours.empty()) return;
  const std::vector<std::string> order = facts.containerd_config.diff_order.value_or(std::vector<std::string>());
  for (const std::string& name : order) {
    if (!Uses(ours, name)) continue;
    std::string mend = "[plugins.\"io.containerd.service.v1.diff-service\"]\n  default = [\"walking\"]";
    if (facts.containerd.version.has_value() && *facts.containerd.version >= kSinceTransferPull &&
        !IsNamedByUnpackConfig(facts.containerd_config, name)) {
      absl::StrAppend(&mend, "\nand name it for our snapshotter alone:\n", UnpackEntry("sluice", name));
    }
    return findings.Warn("differ",
                         absl::StrCat(name,
                                      " is in the list of the diff service: while the daemon is down every pull of "
                                      "this node fails, with overlayfs too"),
                         InContainerdConfig(facts, mend));
  }
  findings.Ok("differ", absl::StrCat(ours[0].name, " is not in the list of the diff service"));
}

bool CriUses(const ContainerdConfig& config, const std::vector<ProxyPlugin>& ours) {
  if (!config.cri.written || config.cri.disabled) return false;
  return Uses(ours, config.cri.snapshotter) ||
         absl::c_any_of(config.cri.runtime_snapshotters, [&](const std::string& name) { return Uses(ours, name); });
}

// Before there were exports, CRI looked where a snapshotter of containerd's own would have its root.
void CheckUsualRoot(const NodeFacts& facts, const ProxyPlugin& proxy, Findings& findings) {
  if (!CriUses(facts.containerd_config, {proxy})) return;
  const std::string usual = absl::StrCat(facts.containerd_config.root, "/io.containerd.snapshotter.v1.", proxy.name);
  if (facts.usual_roots.contains(usual)) return findings.Ok("exports-root", usual);
  findings.Fail("exports-root", absl::StrCat(usual, " is missing: the kubelet can't see how full ", facts.root, " is"),
                absl::StrCat("ln -s ", facts.root, " ", usual));
}

// CRI tells the kubelet how full the file system of this directory is.
void CheckExportsRoot(const NodeFacts& facts, Findings& findings) {
  if (!facts.containerd.version.has_value()) return;
  const bool reads_exports = ReadsExportsRoot(*facts.containerd.version);
  for (const ProxyPlugin& proxy : OurProxies(facts, "snapshot")) {
    const auto root = proxy.exports.find("root");
    if (!reads_exports) {
      CheckUsualRoot(facts, proxy, findings);
    } else if (root == proxy.exports.end() || root->second != facts.root) {
      const std::string seen =
          root == proxy.exports.end()
              ? absl::StrCat(proxy.name, " has no exports.root: the kubelet can't see how full ", facts.root, " is")
              : absl::StrCat(proxy.name, " has exports.root ", root->second, ", the daemon's root is ", facts.root);
      const std::string lines = absl::StrCat("[proxy_plugins.", proxy.name, ".exports]\n  root = \"", facts.root, "\"");
      findings.Fail("exports-root", seen, InContainerdConfig(facts, lines));
    } else {
      findings.Ok("exports-root", absl::StrCat(proxy.name, ": ", facts.root));
    }
  }
}

// Without annotations the daemon knows an image's registry but for its port.
void CheckCriAnnotations(const NodeFacts& facts, Findings& findings) {
  const std::vector<ProxyPlugin> ours = OurProxies(facts, "snapshot");
  if (!CriUses(facts.containerd_config, ours) || !facts.containerd.version.has_value()) return;
  const bool by_export = *facts.containerd.version >= kSinceRemoteAnnotations;
  const auto exported = ours[0].exports.find("enable_remote_snapshot_annotations");
  const bool on = !facts.containerd_config.cri.disable_snapshot_annotations ||
                  (by_export && exported != ours[0].exports.end() && exported->second == "true");
  if (on) return findings.Ok("cri-annotations", "on: the daemon is told where an image comes from");
  if (!facts.known_hosts.empty()) {
    return findings.Ok("cri-annotations",
                       absl::StrCat("off, but ports are known of ", absl::StrJoin(facts.known_hosts, ", ")));
  }
  const std::string lines = by_export ? absl::StrCat("[proxy_plugins.", ours[0].name,
                                                     ".exports]\n  enable_remote_snapshot_annotations = \"true\"")
                                      : absl::StrCat(*facts.containerd.version < kSinceTransferPull
                                                         ? "[plugins.\"io.containerd.grpc.v1.cri\".containerd]"
                                                         : "[plugins.\"io.containerd.cri.v1.images\"]",
                                                     "\n  disable_snapshot_annotations = false");
  findings.Warn("cri-annotations",
                "off, and no registry's port is known: layers that are in no store on this host are left to containerd",
                absl::StrCat(InContainerdConfig(facts, lines), "\nor ",
                             InDaemonConfig(facts, "[registry]\nlocal_registries = [\"HOST:PORT\"]")));
}

// Which snapshotters may be asked for images of a namespace, the usual one first.
std::vector<std::string> WantedSnapshotters(const NodeFacts& facts, const std::string& containerd_namespace) {
  const auto& cri = facts.containerd_config.cri;
  std::vector<std::string> wanted;
  if (containerd_namespace == kKubernetes && !cri.disabled) {
    wanted = {cri.snapshotter};
    wanted.insert(wanted.end(), cri.runtime_snapshotters.begin(), cri.runtime_snapshotters.end());
  } else {
    for (const ProxyPlugin& proxy : OurProxies(facts, "snapshot")) wanted.push_back(proxy.name);
  }
  if (wanted.empty()) wanted = {kOverlayfs};
  return wanted;
}

// An image whose layers are only in one snapshotter can't be unpacked for another.
void CheckImages(const NodeFacts& facts, Findings& findings) {
  if (!facts.containerd.answers.ok()) return;
  size_t trapped = 0;
  for (const HollowImage& image : facts.hollow_images) {
    const std::vector<std::string> wanted = WantedSnapshotters(facts, image.containerd_namespace);
    const bool is_unpacked =
        absl::c_any_of(wanted, [&image](const std::string& name) { return image.snapshotters.contains(name); });
    if (is_unpacked || ++trapped > kMostImages) continue;
    const std::string name = absl::Utf8SafeCHexEscape(image.name);
    findings.Warn("images",
                  absl::StrCat(image.containerd_namespace, ": ", name, ": ", image.missing_layers,
                               " layers are in no content store, and unpacked by ",
                               image.snapshotters.empty() ? "nobody" : absl::StrJoin(image.snapshotters, ", "),
                               ": with ", wanted[0], " it fails with \"content digest ... not found\""),
                  absl::StrCat("ctr -a ", facts.containerd.address, " -n ", image.containerd_namespace, " images rm ",
                               name, "\nthen pull it again"));
  }
  if (trapped > kMostImages) {
    findings.Warn("images", absl::StrCat("and ", trapped - kMostImages, " more"), "the same for them");
  }
  if (trapped == 0) findings.Ok("images", "none that only another snapshotter has");
}

constexpr Check kChecks[] = {
    {"exports-root", CheckExportsRoot},       {"transfer", CheckTransfer}, {"differ", CheckDiffer},
    {"cri-annotations", CheckCriAnnotations}, {"images", CheckImages},
};

}  // namespace

absl::Span<const Check> ClientChecks() { return kChecks; }

}  // namespace sluice
