// Accepts the connections to our socket and shows each to one of two doors. gRPC's own listener has no such place: it
// serves whoever connects, and its calls don't know the process they come from.
//
// A containerd dials its plugins a moment before it listens itself, so one that can't be judged yet is held, and
// refused when that takes too long: a single collection of a wrong one's garbage empties the root.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "snapshotter/service/peer_screen.h"

namespace sluice {

struct GateOptions {
  // Called on the gate's thread, for a connection and, while it says kUnknownContainerd, several times a second again.
  std::function<Peer(pid_t)> judge;
  // Takes a connection over. Those of kOtherContainerd are refused, and in the end those of kUnknownContainerd, all
  // others admitted.
  std::function<void(UniqueFd)> admit;
  std::function<void(UniqueFd)> refuse;
};

class ConnectionGate {
 public:
  // Takes the listening socket, non-blocking.
  static absl::StatusOr<std::unique_ptr<ConnectionGate>> Open(UniqueFd listening, GateOptions options);
  // Accepts no more. What was admitted lives on.
  ~ConnectionGate();
  ConnectionGate(const ConnectionGate&) = delete;
  ConnectionGate& operator=(const ConnectionGate&) = delete;

 private:
  struct Arrival {
    pid_t pid;
    UniqueFd connection;  // held; or, once it is refused, a second descriptor of it
    absl::Time time;
    bool refused = false;
  };

  ConnectionGate(UniqueFd listening, UniqueFd stop, GateOptions options);

  void Work();
  void AcceptAll();
  // Judges it and does what follows. False: it is to be judged again.
  bool Settle(Arrival& arrival);
  void Refuse(pid_t pid, UniqueFd connection);

  const UniqueFd listening_;
  const UniqueFd stop_;  // an eventfd, readable once the gate closes
  const GateOptions options_;
  // Of the thread.
  bool exhausted_ = false;  // no descriptor was left for a connection that waits
  std::vector<Arrival> unknown_;
  pid_t warned_of_ = 0;
  std::thread thread_;
};

}  // namespace sluice
