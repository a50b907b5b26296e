#include "tests/testing/unix_listener.h"

#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/unix_socket.h"

namespace sluice::testing {

UniqueFd ListenAt(const std::string& path) {
  UniqueFd listening(socket(AF_UNIX, SOCK_STREAM, 0));
  const std::optional<sockaddr_un> address = UnixAddress(path);
  if (!address.has_value() ||
      bind(listening.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0 ||
      listen(listening.get(), 4) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  return listening;
}

}  // namespace sluice::testing
