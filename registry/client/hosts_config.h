// containerd's hosts.toml: where a registry is really asked, and how (containerd docs/hosts.md,
// core/remotes/docker/config/hosts.go).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
  bool can_resolve = true;            // may it say which digest a tag has?
  bool is_mirror = false;             // not the host itself: is told "?ns=<host>"
  std::vector<std::string> ca_files;  // PEM, absolute paths; in addition to the system's
  std::vector<ClientCertificate> clients;
  bool skip_verify = false;
  std::vector<std::pair<std::string, std::string>> headers;  // name, value; secret, like a password
  std::chrono::milliseconds dial_timeout = std::chrono::seconds(30);
};

// What `hosts_dir` says of `host` (as Reference::host). Unset if it says nothing: then the defaults of RegistryClient
// hold. Set and empty: the file is there and allows no endpoint at all. Reads the files anew at each call, so a change
// needs no restart. Looked up as containerd does: <host>_<port>_, <host>:<port>, _default; without a hosts.toml in the
// directory its *.crt, *.cert and *.key files (Docker's convention) count.
// Errors, naming file, line and key: InvalidArgument what containerd refuses too; PermissionDenied unreadable.
absl::StatusOr<std::optional<std::vector<ConfiguredEndpoint>>> LoadHostsConfig(const std::string& hosts_dir,
                                                                               absl::string_view host);

}  // namespace sluice
