// Unix sockets by their paths: the address, and what is there, seen by connecting to it.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <string>

namespace sluice {

// Nothing for a path that can't be one: too long, or not absolute.
std::optional<sockaddr_un> UnixAddress(const std::string& path);

enum class SocketState {
  kServed,
  kMissing,
  kStale,     // nobody listens: whoever did was killed
  kNoAccess,  // not for this user
  kNoSocket,  // another kind of file
};

struct SocketProbe {
  SocketState state = SocketState::kMissing;
  pid_t server = 0;  // who listens; 0 if that is in another PID namespace, or nobody does
};

// A path that can't be one is kMissing.
SocketProbe ProbeSocket(const std::string& path);

}  // namespace sluice
