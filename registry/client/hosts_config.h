// containerd's hosts.toml: where a registry is really asked, and how (containerd docs/hosts.md,
// core/remotes/docker/config/hosts.go of 2.4; what 1.6 does otherwise is in hosts_config_cases.cc).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/client/configured_endpoint.h"

namespace sluice {

// What `hosts_dir` says of `host` (as Reference::host), in the order of the file; the server itself is the last.
// Unset if it says nothing: then the defaults of RegistryClient hold. Set and empty: every place that the file names
// is unusable (another scheme, no host, a port above 65535). Reads the files anew at each call, so a change needs no
// restart. The first of these directories that is there counts: <host>_<port>_, <host>:<port>, _default; without a
// hosts.toml in it its *.crt, *.cert and *.key files (Docker's convention).
//
// As in containerd, a hosts.toml that is no TOML, or has a key of the wrong type, an unknown capability or the like
// counts as absent. `ignored`, which may be null, then says so: InvalidArgument naming file, line and key.
//
// Errors, naming the file: what containerd refuses too (a file or a directory that can't be read: PermissionDenied, …;
// a certificate file that is not there: NotFound, or is none: InvalidArgument); InvalidArgument a file above 1 MiB, a
// `host` that is no host.
// Never part of a message: values of headers, URLs, and the text of a line that is no TOML.
absl::StatusOr<std::optional<std::vector<ConfiguredEndpoint>>> LoadHostsConfig(const std::string& hosts_dir,
                                                                               absl::string_view host,
                                                                               absl::Status* ignored = nullptr);

}  // namespace sluice
