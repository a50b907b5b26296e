// Whose connection it is: of our containerd, of another one, or of a tool. A proxy snapshotter's call says nothing of
// who asks, but the kernel knows the process at the other end of a Unix socket.
//
// Two containerds on one snapshotter lose everything: each one's garbage collection removes what the other one has
// (DESIGN §5).
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

namespace sluice {

enum class Peer {
  kOurContainerd,      // the one that listens at our containerd's address
  kUnknownContainerd,  // a containerd, and nobody listens at that address, perhaps only not yet
  kOtherContainerd,
  kTool,  // no containerd; or of another PID namespace, where nothing can be known of it
};

// Thread-safe.
class PeerScreen {
 public:
  explicit PeerScreen(std::string containerd_address) : containerd_address_(std::move(containerd_address)) {}

  // `pid`: as SO_PEERCRED gives it, 0 for a process of another PID namespace. Connects to our containerd, if it is one.
  Peer Judge(pid_t pid) const;

  // What another containerd is told in answer to each of its calls.
  std::string Refusal(const std::string& our_socket) const;

 private:
  const std::string containerd_address_;
};

}  // namespace sluice
