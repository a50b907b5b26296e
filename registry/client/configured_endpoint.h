// One place to ask for what a registry has, as a hosts.toml says it.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

// A value.
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

}  // namespace sluice
