// A registry's host as references write it, with its port split off.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "registry/ip_address.h"

namespace sluice {

struct HostPort {
  std::string name;  // lower case, without brackets
  std::string port;  // "" when none is written
  std::optional<IpAddress> address;
};

// What is not of the form host[:port] comes back whole as a name, which then equals nobody's and is no address:
// "10.0.0.1:5000@evil.example" must not be taken for 10.0.0.1.
HostPort SplitHostPort(absl::string_view text);

}  // namespace sluice
