// What is at the path of a Unix socket, seen by connecting to it.
#pragma once

#include <sys/types.h>

#include <string>

namespace sluice {

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

// A path that can't be one (too long, not absolute) is kMissing.
SocketProbe ProbeSocket(const std::string& path);

}  // namespace sluice
