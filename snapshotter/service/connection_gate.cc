#include "snapshotter/service/connection_gate.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/errno_status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr int kSecond = 1000;    // between two looks at the unknown
constexpr int kExhausted = 100;  // before the next try without descriptors

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
    const int ready = poll(events, count, exhausted_ ? kExhausted : unknown_.empty() ? -1 : kSecond);
    PCHECK(ready >= 0 || errno == EINTR) << "poll";
    if (events[0].revents != 0) return;
    exhausted_ = false;
    AcceptAll();
    JudgeUnknown();
  }
}

void ConnectionGate::AcceptAll() {
  while (true) {
    UniqueFd connection(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.valid()) {
      Sort(std::move(connection));
      continue;
    }
    if (errno == ECONNABORTED || errno == EINTR) continue;
    exhausted_ = errno != EAGAIN;
    return;
  }
}

void ConnectionGate::Sort(UniqueFd connection) {
  const pid_t pid = PidOf(connection);
  switch (options_.judge(pid)) {
    case Peer::kOtherContainerd:
      Warn(pid);
      options_.refuse(std::move(connection));
      return;
    case Peer::kUnknownContainerd:
      if (UniqueFd second(fcntl(connection.get(), F_DUPFD_CLOEXEC, 0)); second.valid()) {
        unknown_.push_back({pid, std::move(second)});
      }
      break;
    case Peer::kOurContainerd:
    case Peer::kTool:
      break;
  }
  options_.admit(std::move(connection));
}

void ConnectionGate::JudgeUnknown() {
  std::erase_if(unknown_, [this](const Unknown& unknown) {
    const Peer peer = options_.judge(unknown.pid);
    if (peer == Peer::kUnknownContainerd) return false;
    if (peer == Peer::kOtherContainerd) shutdown(unknown.connection.get(), SHUT_RDWR);
    return true;
  });
}

void ConnectionGate::Warn(pid_t pid) {
  if (std::exchange(warned_of_, pid) == pid) return;
  LOG(WARNING) << "refusing the containerd with PID " << pid << ": it is not the one that is served";
}

}  // namespace sluice
