// Where metrics are served, as the configuration writes it.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct ListenAddress {
  std::string text;  // "127.0.0.1:9464", "[::1]:9464"
  sockaddr_storage socket = {};
  socklen_t length = 0;
};

// An IP literal with a port. Names are not looked up, and no address is not taken for all of them: InvalidArgument.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

// OK if one could listen there now; else why not.
absl::Status ProbeListenAddress(const ListenAddress& address);

// Connects to whoever listens there, and hangs up.
void Knock(const ListenAddress& address);

}  // namespace sluice
