// A repository at a registry: where an image can be had.
#pragma once

#include <string>

namespace sluice {

struct Endpoint {
  std::string host;        // with its port, as in Reference::host
  std::string repository;  // as Reference::repository; not verified when a label named it
  // `host` has no port, and nobody says that it needs none: containerd cuts ports off.
  bool port_is_guess = false;
  bool operator==(const Endpoint&) const = default;
};

}  // namespace sluice
