#include "cmd/metrics/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "base/errno_status.h"
#include "base/unique_fd.h"
#include "registry/host_port.h"

namespace sluice {
namespace {

absl::Status Refusal() {
  return absl::InvalidArgumentError("must be an IP address with a port, like \"127.0.0.1:9464\" or \"[::1]:9464\"");
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const HostPort parts = SplitHostPort(text);
  int64_t port = 0;
  if (!parts.address.has_value() || !absl::SimpleAtoi(parts.port, &port) || port < 1 || port > UINT16_MAX) {
    return Refusal();
  }
  ListenAddress address;
  address.text = std::string(text);
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  if (inet_pton(AF_INET, parts.name.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<uint16_t>(port));
    address.length = sizeof(v4);
    *reinterpret_cast<sockaddr_in*>(&address.socket) = v4;
  } else if (inet_pton(AF_INET6, parts.name.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(static_cast<uint16_t>(port));
    address.length = sizeof(v6);
    *reinterpret_cast<sockaddr_in6*>(&address.socket) = v6;
  } else {
    return Refusal();
  }
  return address;
}

absl::Status ProbeListenAddress(const ListenAddress& address) {
  const UniqueFd fd(socket(address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "socket", address.text);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.length) != 0) {
    return ErrnoStatus(errno, "bind", address.text);
  }
  return listen(fd.get(), 1) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "listen", address.text);
}

void Knock(const ListenAddress& address) {
  const UniqueFd fd(socket(address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.valid()) connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.length);
}

}  // namespace sluice
