// The lines of containerd's configuration that the daemon needs, by containerd's version.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "cmd/doctor/containerd_version.h"

namespace sluice {

// For a configuration that has none of it yet: TOML with what must be written, and as comments what may. `address` is
// the daemon's socket, `root` its root.
std::string PrintConfig(const ContainerdVersion& version, absl::string_view address, absl::string_view root);

// One entry of the transfer service's list, for this machine's platform. An empty `differ` is containerd's own.
std::string UnpackEntry(absl::string_view snapshotter, absl::string_view differ);

// A differ as proxy plugin.
std::string DiffProxyTable(absl::string_view name, absl::string_view address);

}  // namespace sluice
