#include "cmd/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

std::string TakeVariable(const char* name) {
  const char* const value = getenv(name);
  std::string taken = value == nullptr ? "" : value;
  unsetenv(name);
  return taken;
}

absl::Status NotANumber(const char* name, const std::string& value) {
  return absl::InvalidArgumentError(absl::StrCat("environment: ", name, "=", value, ": is not a positive number"));
}

absl::StatusOr<absl::Duration> Watchdog(const std::string& microseconds, const std::string& pid) {
  if (microseconds.empty()) return absl::ZeroDuration();
  int64_t count = 0;
  if (!absl::SimpleAtoi(microseconds, &count) || count <= 0) return NotANumber("WATCHDOG_USEC", microseconds);
  if (pid.empty()) return absl::Microseconds(count);
  int64_t watched = 0;
  if (!absl::SimpleAtoi(pid, &watched) || watched <= 0) return NotANumber("WATCHDOG_PID", pid);
  // Another process is meant, such as a wrapper that started us.
  return watched == getpid() ? absl::Microseconds(count) : absl::ZeroDuration();
}

}  // namespace

absl::StatusOr<ServiceManager> ServiceManager::FromEnvironment() {
  const std::string address = TakeVariable("NOTIFY_SOCKET");
  const std::string microseconds = TakeVariable("WATCHDOG_USEC");
  const std::string pid = TakeVariable("WATCHDOG_PID");
  ServiceManager manager;
  if (address.empty()) return manager;
  if (absl::Status status = manager.Connect(address); !status.ok()) {
    return Annotate(status, absl::StrCat("environment: NOTIFY_SOCKET=", address));
  }
  ASSIGN_OR_RETURN(manager.watchdog_, Watchdog(microseconds, pid));
  return manager;
}

absl::Status ServiceManager::Connect(const std::string& address) {
  sockaddr_un peer = {};
  if ((address[0] != '/' && address[0] != '@') || address.size() < 2 || address.size() >= sizeof(peer.sun_path)) {
    return absl::InvalidArgumentError("is not the address of a Unix socket");
  }
  peer.sun_family = AF_UNIX;
  address.copy(peer.sun_path, sizeof(peer.sun_path));
  if (address[0] == '@') peer.sun_path[0] = '\0';  // abstract: unix(7)
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  socket_.Reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) return ErrnoStatus(errno, "socket", "AF_UNIX");
  if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&peer), length) != 0) {
    return ErrnoStatus(errno, "connect", address);
  }
  return absl::OkStatus();
}

absl::Status ServiceManager::Tell(absl::string_view state) const {
  if (!listens()) return absl::OkStatus();
  ssize_t sent = 0;
  do {
    sent = send(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? ErrnoStatus(errno, "send", "NOTIFY_SOCKET") : absl::OkStatus();
}

}  // namespace sluice
