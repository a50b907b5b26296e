#include "cmd/doctor/spoken_scheme.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "registry/host_port.h"
#include "registry/ip_address.h"
#include "registry/locality.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostAnswer = 4096;

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

std::optional<SocketAddress> Resolve(const std::string& address) {
  const HostPort host = SplitHostPort(address);
  uint32_t port = 0;
  if (!absl::SimpleAtoi(host.port, &port) || port > 65535) return std::nullopt;
  SocketAddress resolved;
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&resolved.storage);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&resolved.storage);
  if (inet_pton(AF_INET, host.name.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    resolved.size = sizeof(*v4);
    return resolved;
  }
  if (inet_pton(AF_INET6, host.name.c_str(), &v6->sin6_addr) != 1) return std::nullopt;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<uint16_t>(port));
  resolved.size = sizeof(*v6);
  return resolved;
}

// False when the time is over.
bool Await(int fd, short event, Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  pollfd waiting = {fd, event, 0};
  return left > 0 && poll(&waiting, 1, static_cast<int>(left)) == 1;
}

UniqueFd Connect(const SocketAddress& address, Clock::time_point end) {
  UniqueFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0) return fd;
  if (errno != EINPROGRESS || !Await(fd.get(), POLLOUT, end)) return UniqueFd();
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return UniqueFd();
  return fd;
}

// What comes until the other side closes; unset if the time is over before anything did.
std::optional<std::string> ReadAnswer(int fd, Clock::time_point end) {
  std::string answer;
  char buffer[1024];
  while (answer.size() < kMostAnswer) {
    if (!Await(fd, POLLIN, end)) return answer.empty() ? std::nullopt : std::optional<std::string>(answer);
    const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
    if (size <= 0) break;
    answer.append(buffer, static_cast<size_t>(size));
  }
  return answer;
}

}  // namespace

std::string LocalAddressOf(absl::string_view host, absl::string_view default_port) {
  const HostPort parts = SplitHostPort(host);
  const std::string port = parts.port.empty() ? std::string(default_port) : parts.port;
  if (parts.name == "localhost") return absl::StrCat("127.0.0.1:", port);
  if (!parts.address.has_value() || IsMetadataAddress(host)) return "";
  if (!parts.address->IsLoopback() && !parts.address->IsPrivate()) return "";
  return absl::StrContains(parts.name, ":") ? absl::StrCat("[", parts.name, "]:", port)
                                            : absl::StrCat(parts.name, ":", port);
}

SpokenScheme FindSpokenScheme(const std::string& address, std::chrono::milliseconds limit) {
  const std::optional<SocketAddress> resolved = Resolve(address);
  if (!resolved.has_value()) return SpokenScheme::kNone;
  const Clock::time_point end = Clock::now() + limit;
  const UniqueFd fd = Connect(*resolved, end);
  if (!fd.valid()) return SpokenScheme::kNone;
  const std::string request = absl::StrCat("GET /v2/ HTTP/1.1\r\nHost: ", address, "\r\nConnection: close\r\n\r\n");
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return SpokenScheme::kNone;
  }
  const std::optional<std::string> answer = ReadAnswer(fd.get(), end);
  if (!answer.has_value()) return SpokenScheme::kNone;
  // A TLS alert, or the connection is closed on us.
  if (!absl::StartsWith(*answer, "HTTP/")) return SpokenScheme::kHttps;
  // Go, nginx and others answer a plain request on a TLS port with a 400 that says so.
  const bool is_refusal = absl::StrContains(answer->substr(0, answer->find('\r')), " 400 ");
  return is_refusal && absl::StrContains(*answer, "HTTPS") ? SpokenScheme::kHttps : SpokenScheme::kHttp;
}

}  // namespace sluice
