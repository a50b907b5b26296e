// Whoever started the daemon and waits to hear of it: systemd, by the datagrams of sd_notify(3). The protocol is a
// documented promise and a page of code; libsystemd would bring three compression libraries into a daemon of root.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace sluice {

// Thread-safe once it is made.
class ServiceManager {
 public:
  // Of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which are taken out of the environment: they are not for the
  // programs that the daemon runs. REQUIRES: no other thread. InvalidArgument: a variable that can't be what it says.
  static absl::StatusOr<ServiceManager> FromEnvironment();

  // Whether anybody is told anything.
  bool listens() const { return socket_.valid(); }

  // How long it waits for a sign of life before it restarts the daemon; zero: for ever.
  absl::Duration watchdog() const { return watchdog_; }

  // `state` is lines of NAME=VALUE. OK and nothing said where nobody listens.
  absl::Status Tell(absl::string_view state) const;

 private:
  ServiceManager() = default;
  absl::Status Connect(const std::string& address);

  UniqueFd socket_;
  absl::Duration watchdog_ = absl::ZeroDuration();
};

}  // namespace sluice
