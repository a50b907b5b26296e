// Accepts the connections to our socket and shows each to one of two doors. gRPC's own listener has no such place: it
// serves whoever connects, and its calls don't know the process they come from.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "snapshotter/service/peer_screen.h"

namespace sluice {

struct GateOptions {
  // Called on the gate's thread, for a connection and, while it says kUnknownContainerd, each second again.
  std::function<Peer(pid_t)> judge;
  // Takes a connection over. Those of kOtherContainerd are refused, all others admitted.
  std::function<void(UniqueFd)> admit;
  std::function<void(UniqueFd)> refuse;
};

// A connection that was admitted from an unknown containerd is shut down if that turns out to be another one; what it
// does next is to connect again.
class ConnectionGate {
 public:
  // Takes the listening socket, non-blocking.
  static absl::StatusOr<std::unique_ptr<ConnectionGate>> Open(UniqueFd listening, GateOptions options);
  // Accepts no more. What was admitted lives on.
  ~ConnectionGate();
  ConnectionGate(const ConnectionGate&) = delete;
  ConnectionGate& operator=(const ConnectionGate&) = delete;

 private:
  struct Unknown {
    pid_t pid;
    UniqueFd connection;  // a second descriptor of it
  };

  ConnectionGate(UniqueFd listening, UniqueFd stop, GateOptions options);

  void Work();
  void AcceptAll();
  void Sort(UniqueFd connection);
  void JudgeUnknown();
  void Warn(pid_t pid);

  const UniqueFd listening_;
  const UniqueFd stop_;  // an eventfd, readable once the gate closes
  const GateOptions options_;
  // Of the thread.
  bool exhausted_ = false;  // no descriptor was left for a connection that waits
  std::vector<Unknown> unknown_;
  pid_t warned_of_ = 0;
  std::thread thread_;
};

}  // namespace sluice
