// Looks at a node for `sluicectl doctor`: everything that the checks need is gathered here. Nothing is changed; the
// root is tried with a directory that is removed again.
#pragma once

#include <string>

#include "base/cancellation.h"
#include "cmd/doctor/node_facts.h"

namespace sluice {

struct ObserveOptions {
  std::string config_path = {};        // of the daemon
  std::string address = {};            // the daemon's socket
  std::string containerd_config = {};  // "": that of the running containerd, else /etc/containerd/config.toml
  // "": that of `containerd_config` if it is given, else of the daemon's configuration.
  std::string containerd_address = {};
};

// Takes seconds where somebody does not answer. What can't be seen is in the facts as a status.
NodeFacts ObserveNode(const ObserveOptions& options, const Cancellation& cancellation);

// Its parts, in this order: each needs what those before have seen.

// The daemon's configuration, socket, root, stores and room for the cache.
void ObserveDaemon(const ObserveOptions& options, const Cancellation& cancellation, NodeFacts& facts);
// containerd's process, plugins and configuration.
void ObserveContainerd(const ObserveOptions& options, const Cancellation& cancellation, NodeFacts& facts);
// hosts.toml, and what the registries on addresses of the local network speak: one request to each.
void ObserveRegistries(NodeFacts& facts);
// The images of all namespaces of which layers are missing.
void ObserveImages(NodeFacts& facts);

}  // namespace sluice
