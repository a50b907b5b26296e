#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace sluice {
namespace {

SocketState StateOf(int error) {
  switch (error) {
    case ECONNREFUSED:
      return SocketState::kStale;
    case EACCES:
    case EPERM:
      return SocketState::kNoAccess;
    case EAGAIN:  // its queue is full
      return SocketState::kServed;
    default:
      return SocketState::kMissing;
  }
}

}  // namespace

std::optional<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] != '/' || path.size() >= sizeof(address.sun_path)) return std::nullopt;
  path.copy(address.sun_path, path.size());
  return address;
}

SocketProbe ProbeSocket(const std::string& path) {
  const std::optional<sockaddr_un> address = UnixAddress(path);
  if (!address.has_value()) return {};
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    const int error = errno;
    // Linux says ECONNREFUSED also of a file that is no socket.
    struct stat file = {};
    const bool is_file = stat(path.c_str(), &file) == 0;
    return {is_file && !S_ISSOCK(file.st_mode) ? SocketState::kNoSocket : StateOf(error)};
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  const bool known = getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  return {SocketState::kServed, known ? peer.pid : 0};
}

}  // namespace sluice
