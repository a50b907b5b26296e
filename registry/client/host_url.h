// The URL of a host in containerd's hosts.toml.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// A value.
struct HostUrl {
  std::string scheme;  // in lower case; "" when none could be seen
  std::string host;    // with its port, as written; "" when there is none: "https://", "http", "httpd.lan" (see below)
  std::string path;    // "/v2"; "" for the root; percent-encoded where it must be

  // Can it be asked at all? Not by another scheme, without a host, or at a port above 65535.
  bool Usable() const;
  // "https://mirror.lan:5000/v2"
  std::string ToString() const;
};

// `text` as containerd's parseHostConfig reads it (core/remotes/docker/config/hosts.go), with Go's net/url below: what
// does not begin with "http" gets "https://" before it, so that "httpd.lan" is taken for a path; user and password,
// query and fragment are dropped; the path is cleaned, and "/v2" added unless it ends so or `override_path`.
// InvalidArgument for what net/url refuses, without the URL, which may hold a password.
absl::StatusOr<HostUrl> ParseHostUrl(absl::string_view text, bool override_path);

// The port of "host:port" or "[v6]:port"; "" if there is none (Go's net.SplitHostPort).
absl::string_view PortOf(absl::string_view host);

}  // namespace sluice
