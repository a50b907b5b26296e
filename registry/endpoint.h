// A repository at a registry: where an image can be had.
#pragma once

#include <string>

namespace sluice {

struct Endpoint {
  std::string host;        // with its port, as in Reference::host
  std::string repository;  // as Reference::repository; not verified when a label named it
  bool operator==(const Endpoint&) const = default;
};

}  // namespace sluice
