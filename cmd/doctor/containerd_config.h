// What containerd's configuration says of the things that a proxy snapshotter depends on (containerd docs/PLUGINS.md,
// docs/cri/config.md, plugins/transfer/plugin.go).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

// One [proxy_plugins.<name>].
struct ProxyPlugin {
  std::string name;
  std::string type;     // "snapshot", "diff", …; the long forms are written short here
  std::string address;  // a path, "unix://" taken off
  std::map<std::string, std::string> exports;

  bool operator==(const ProxyPlugin&) const = default;
};

// One [[plugins."io.containerd.transfer.v1.local".unpack_config]].
struct UnpackConfiguration {
  std::string platform;
  std::string snapshotter;
  std::string differ;

  bool operator==(const UnpackConfiguration&) const = default;
};

struct ContainerdConfig {
  std::string path;       // of the main file; it need not exist: then all is at its default
  absl::Time changed_at;  // when the last of its files was; InfinitePast() without any
  std::string root = "/var/lib/containerd";
  std::string address = "/run/containerd/containerd.sock";
  std::vector<ProxyPlugin> proxies;
  // Unset: not written, so that containerd's own holds (overlayfs alone).
  std::optional<std::vector<UnpackConfiguration>> unpack;
  // The diff service's list; unset: not written.
  std::optional<std::vector<std::string>> diff_order;
  struct {
    bool written = false;  // anything of it is
    bool disabled = false;
    std::string snapshotter = "overlayfs";
    std::vector<std::string> runtime_snapshotters;  // of single runtimes
    bool disable_snapshot_annotations = true;
    std::string hosts_dir;  // registry.config_path
  } cri;
};

// The text of one file, over `config`: a table that it has takes the place of the one before. InvalidArgument
// "<line>: cause" for what is no TOML. Keys that are not looked at may be anything.
absl::Status ParseContainerdConfig(absl::string_view text, ContainerdConfig& config);

// The file and those that it imports. A missing one is the defaults. Errors name the file.
absl::StatusOr<ContainerdConfig> LoadContainerdConfig(const std::string& path);

}  // namespace sluice
