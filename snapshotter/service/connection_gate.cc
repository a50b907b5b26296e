#include "snapshotter/service/connection_gate.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

// Between two looks at the unknown, and before the next try without descriptors.
constexpr int kPauseMilliseconds = 100;
// containerd's gRPC waits a second for the first word of a server.
constexpr absl::Duration kHoldLimit = absl::Milliseconds(500);

pid_t PidOf(const UniqueFd& connection) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionGate>> ConnectionGate::Open(UniqueFd listening, GateOptions options) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return ErrnoStatus(errno, "eventfd", "connection gate");
  return std::unique_ptr<ConnectionGate>(new ConnectionGate(std::move(listening), std::move(stop), std::move(options)));
}

ConnectionGate::ConnectionGate(UniqueFd listening, UniqueFd stop, GateOptions options)
    : listening_(std::move(listening)),
      stop_(std::move(stop)),
      options_(std::move(options)),
      thread_([this] { Work(); }) {}

ConnectionGate::~ConnectionGate() {
  const uint64_t once = 1;
  PCHECK(write(stop_.get(), &once, sizeof(once)) == sizeof(once)) << "eventfd";
  thread_.join();
}

void ConnectionGate::Work() {
  while (true) {
    pollfd events[] = {{stop_.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}};
    // Without descriptors the listening socket stays readable, and would be asked without end.
    const nfds_t count = exhausted_ ? 1 : 2;
    const int ready = poll(events, count, exhausted_ || !unknown_.empty() ? kPauseMilliseconds : -1);
    PCHECK(ready >= 0 || errno == EINTR) << "poll";
    if (events[0].revents != 0) return;
    exhausted_ = false;
    std::erase_if(unknown_, [this](Arrival& arrival) { return Settle(arrival); });
    AcceptAll();
  }
}

void ConnectionGate::AcceptAll() {
  while (true) {
    UniqueFd connection(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.valid()) {
      const pid_t pid = PidOf(connection);
      Arrival arrival{pid, std::move(connection), absl::Now()};
      if (!Settle(arrival)) unknown_.push_back(std::move(arrival));
      continue;
    }
    if (errno == ECONNABORTED || errno == EINTR) continue;
    exhausted_ = errno != EAGAIN;
    return;
  }
}

bool ConnectionGate::Settle(Arrival& arrival) {
  switch (options_.judge(arrival.pid)) {
    case Peer::kUnknownContainerd:
      if (arrival.refused || absl::Now() - arrival.time < kHoldLimit) return false;
      arrival.refused = true;
      if (UniqueFd second(fcntl(arrival.connection.get(), F_DUPFD_CLOEXEC, 0)); second.valid()) {
        Refuse(arrival.pid, std::exchange(arrival.connection, std::move(second)));
        return false;
      }
      return true;  // closed: it will come again
    case Peer::kOtherContainerd:
      if (!arrival.refused) Refuse(arrival.pid, std::move(arrival.connection));
      return true;
    case Peer::kOurContainerd:
    case Peer::kTool:
      // It hears of the refusal no longer, and connects again.
      if (arrival.refused) {
        shutdown(arrival.connection.get(), SHUT_RDWR);
      } else {
        options_.admit(std::move(arrival.connection));
      }
      return true;
  }
  return true;
}

void ConnectionGate::Refuse(pid_t pid, UniqueFd connection) {
  if (std::exchange(warned_of_, pid) != pid) {
    LOG(WARNING) << "refusing the containerd with PID " << pid << ": it is not the one that is served";
  }
  options_.refuse(std::move(connection));
}

}  // namespace sluice
