// What `sluicectl doctor` has seen of a node. Only values: the checks judge them without looking at anything else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/unix_socket.h"
#include "cmd/config.h"
#include "cmd/doctor/containerd_config.h"
#include "cmd/doctor/containerd_version.h"

namespace sluice {

// What the daemon says of itself (admin.proto).
struct DaemonFacts {
  std::string version;
  std::string root;
  std::string containerd_uuid;  // that its root belongs to; "" if it has met none
  std::string refusal;          // why it answers no call of containerd; "" if it does
  int64_t cache_bytes = 0;
};

// One plugin that containerd has loaded, or tried to.
struct LoadedPlugin {
  std::string type;  // "io.containerd.snapshotter.v1"
  std::string id;
  std::map<std::string, std::string> exports;
  std::string error;  // why it was not initialised
};

struct ContainerdFacts {
  std::string address;
  SocketProbe socket;
  absl::Status answers;      // why it does not
  std::string version_text;  // "" if it did not say
  std::optional<ContainerdVersion> version;
  std::string uuid;
  std::optional<absl::Time> started;  // its process
  std::vector<LoadedPlugin> plugins;
  std::vector<std::string> others;  // well-known addresses that are served, beside `address`
};

struct StoreFacts {
  std::string kind;
  std::string path;
  absl::Status status;  // NotFound: it is not there; else why it can't be used
};

enum class SpokenScheme {
  kNone,   // nobody answers
  kHttp,   // plain
  kHttps,  // TLS
};

// One place on the local network where a registry is asked.
struct RegistryHostFacts {
  std::string host;         // of images: "172.30.0.1:5000"
  std::string hosts_file;   // hosts.toml that says so; "" where none does
  std::string scheme;       // as written there, else as containerd asks: "http", "https"
  bool falls_back = false;  // to http, where https is not spoken
  std::string address;      // "172.30.0.1:5000", a literal
  SpokenScheme spoken = SpokenScheme::kNone;
};

// An image of which containerd has not all layers.
struct HollowImage {
  std::string containerd_namespace;
  std::string name;
  int missing_layers = 0;
  std::set<std::string> snapshotters;  // that have it unpacked
};

enum class SelinuxMode { kNone, kPermissive, kEnforcing };

struct SelinuxFacts {
  SelinuxMode mode = SelinuxMode::kNone;
  // Of the daemon's root: "system_u:object_r:var_lib_t:s0". Empty if it has none or is not there.
  std::string root_context;
};

struct NodeFacts {
  // Our side.
  std::string config_path;
  absl::Status config_status;
  Config config;  // the defaults if it can't be read
  std::string address;
  SocketProbe socket;
  absl::Status daemon_status;         // why it does not answer
  std::optional<DaemonFacts> daemon;  // if it does
  std::string root;                   // the daemon's, else the default
  absl::Status root_status;
  std::vector<std::string> root_warnings;
  SelinuxFacts selinux;
  std::vector<StoreFacts> stores;

  // containerd's side. Paths of sockets are without symbolic links.
  absl::Status containerd_config_status;
  ContainerdConfig containerd_config;
  std::string configured_containerd;  // containerd.address of our configuration
  ContainerdFacts containerd;
  // Of <containerd's root>/io.containerd.snapshotter.v1.<name> for the proxy plugins, those that are there.
  std::set<std::string> usual_roots;

  // Registries and images.
  bool has_hosts_dir = false;
  std::vector<std::string> known_hosts;  // that somebody names with a port
  std::vector<RegistryHostFacts> hosts;
  std::vector<HollowImage> hollow_images;

  // The cache's file system.
  int64_t cache_limit = 0;  // cache.max_bytes, or its default; 0: not known
  int64_t free_bytes = 0;
};

// The proxy plugins of containerd's configuration that lead to our daemon, of this type ("snapshot", "diff").
std::vector<ProxyPlugin> OurProxies(const NodeFacts& facts, absl::string_view type);

}  // namespace sluice
