// containerd's hosts.toml: where a registry is really asked, and how (containerd docs/hosts.md,
// core/remotes/docker/config/hosts.go of 2.4; what 1.6 does otherwise is in hosts_config_cases.cc).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// One place to ask, in the order of the file; the server itself is the last.
struct ConfiguredEndpoint {
  struct ClientCertificate {
    std::string certificate;  // PEM file, absolute path
    std::string key;          // the same; "" if it is in the certificate's file
  };

  std::string base;  // "https://mirror.lan:5000/v2": what comes before "/<repository>/manifests/<tag>"
  bool can_pull = true;
  bool can_resolve = true;  // may it say which digest a tag has?
  bool is_mirror = false;   // not the host itself: is told "?ns=<host>"
  // No `server` in the file: this is the host itself, by containerd's default scheme.
  bool is_implied = false;
  // `base` is https; where the other side speaks no TLS (without a port also where nobody listens), the same by http.
  // For a host that is written "http://" with ca, client or skip_verify beside it, and for a loopback host.
  bool plain_http_fallback = false;
  std::vector<std::string> ca_files;  // PEM, absolute paths; in addition to the system's
  std::vector<ClientCertificate> clients;
  bool skip_verify = false;
  // Name, value, by name; secret, like a password. Without line breaks and other control characters.
  std::vector<std::pair<std::string, std::string>> headers;
  std::chrono::milliseconds dial_timeout = std::chrono::seconds(30);  // 0: as long as the system takes
};

// What `hosts_dir` says of `host` (as Reference::host). Unset if it says nothing: then the defaults of RegistryClient
// hold. Set and empty: every place that the file names is unusable (another scheme, no host, a port above 65535).
// Reads the files anew at each call, so a change needs no restart. The first of these directories that is there counts:
// <host>_<port>_, <host>:<port>, _default; without a hosts.toml in it its *.crt, *.cert and *.key files (Docker's
// convention).
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
