// Does a registry speak TLS? Found out by one plain request, which needs no certificate.
#pragma once

#include <chrono>
#include <string>

#include "absl/strings/string_view.h"
#include "cmd/doctor/node_facts.h"

namespace sluice {

// The address that may be asked: an IP literal of the local network, or localhost, with its port. "" for any other
// host: names are not looked up, and nobody on the Internet is asked.
std::string LocalAddressOf(absl::string_view host, absl::string_view default_port);

// `address` is LocalAddressOf() a host.
SpokenScheme FindSpokenScheme(const std::string& address, std::chrono::milliseconds limit);

}  // namespace sluice
