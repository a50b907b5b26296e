#include "cmd/doctor/print_config.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "registry/platform.h"

namespace sluice {
namespace {

constexpr char kSnapshotter[] = "sluice";
constexpr char kDiffer[] = "sluice-diff";

// As the content of a basic string.
std::string Quoted(absl::string_view text) { return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}); }

std::string SnapshotProxy(const ContainerdVersion& version, absl::string_view address, absl::string_view root) {
  std::string lines = absl::StrCat("[proxy_plugins.", kSnapshotter, "]\n  type = \"snapshot\"\n  address = \"",
                                   Quoted(address), "\"\n");
  if (!ReadsExportsRoot(version)) return lines;
  absl::StrAppend(&lines, "  [proxy_plugins.", kSnapshotter, ".exports]\n    root = \"", Quoted(root), "\"\n");
  if (version >= kSinceRemoteAnnotations)
    absl::StrAppend(&lines, "    enable_remote_snapshot_annotations = \"true\"\n");
  return lines;
}

std::string Cri1() {
  return absl::StrCat(
      "\n# For Kubernetes: the kubelet's pods by sluice, and the daemon told where their images come from.\n"
      "# [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n"
      "#   snapshotter = \"",
      kSnapshotter, "\"\n#   disable_snapshot_annotations = false\n");
}

std::string Cri2(const ContainerdVersion& version) {
  std::string lines = absl::StrCat(
      "\n# For Kubernetes: the kubelet's pods by sluice.\n"
      "# [plugins.\"io.containerd.cri.v1.images\"]\n#   snapshotter = \"",
      kSnapshotter, "\"\n");
  // Later the proxy plugin's export does it.
  if (version < kSinceRemoteAnnotations) absl::StrAppend(&lines, "#   disable_snapshot_annotations = false\n");
  return lines;
}

// 1.7 has one list of differs for all snapshotters.
std::string DifferOf17(absl::string_view address) {
  return absl::StrCat(
      "\n# Layers that containerd downloads may be unpacked by the daemon too. The price: while it is down every pull "
      "of\n"
      "# this node fails, with overlayfs too.\n# [proxy_plugins.",
      kDiffer, "]\n#   type = \"diff\"\n#   address = \"", Quoted(address),
      "\"\n# [plugins.\"io.containerd.service.v1.diff-service\"]\n#   default = [\"", kDiffer, "\", \"walking\"]\n");
}

}  // namespace

std::string UnpackEntry(absl::string_view snapshotter, absl::string_view differ) {
  std::string lines = absl::StrCat("[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n  platform = \"",
                                   HostPlatform().ToString(), "\"\n  snapshotter = \"", snapshotter, "\"\n");
  if (!differ.empty()) absl::StrAppend(&lines, "  differ = \"", differ, "\"\n");
  return lines;
}

std::string DiffProxyTable(absl::string_view name, absl::string_view address) {
  return absl::StrCat("[proxy_plugins.", name, "]\n  type = \"diff\"\n  address = \"", Quoted(address), "\"\n");
}

std::string PrintConfig(const ContainerdVersion& version, absl::string_view address, absl::string_view root) {
  const bool is_2 = version >= kSinceTransferPull;
  std::string text = absl::StrCat("version = ", is_2 ? 3 : 2, "\n\n", SnapshotProxy(version, address, root));
  if (!is_2) return absl::StrCat(text, version >= kSince17Differ ? DifferOf17(address) : "", Cri1());
  absl::StrAppend(&text, "\n", DiffProxyTable(kDiffer, address),
                  "\n# This list takes the place of containerd's own, so overlayfs is in it.\n",
                  UnpackEntry("overlayfs", "walking"), UnpackEntry(kSnapshotter, kDiffer), Cri2(version));
  return text;
}

}  // namespace sluice
