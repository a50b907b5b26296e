#include "snapshotter/service/peer_screen.h"

#include <limits.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unix_socket.h"

namespace sluice {
namespace {

// Its program file is called so in every distribution that has one, k3s, RKE2, Docker and kind included. Also after an
// upgrade has replaced the file.
bool IsContainerd(pid_t pid) {
  if (pid == 0) return false;
  char program[PATH_MAX];
  const ssize_t size = readlink(absl::StrCat("/proc/", pid, "/exe").c_str(), program, sizeof(program));
  if (size <= 0) return false;
  const absl::string_view path(program, static_cast<size_t>(size));
  return absl::EndsWith(path, "/containerd") || absl::EndsWith(path, "/containerd (deleted)");
}

}  // namespace

Peer PeerScreen::Judge(pid_t pid) const {
  if (!IsContainerd(pid)) return Peer::kTool;
  const SocketProbe probe = ProbeSocket(containerd_address_);
  if (probe.state != SocketState::kServed) return Peer::kUnknownContainerd;
  if (probe.server == pid) return Peer::kOurContainerd;
  // Somebody else may have made the socket for it: then there is nothing to compare.
  return IsContainerd(probe.server) ? Peer::kOtherContainerd : Peer::kOurContainerd;
}

std::string PeerScreen::Refusal(const std::string& our_socket) const {
  return absl::StrCat("the snapshotter at ", our_socket, " belongs to the containerd at ", containerd_address_,
                      ", and to no other: run a containerd-sluice-grpc with a root and a socket of its own for each "
                      "containerd, or, if this is the one that is meant, set [containerd] address");
}

}  // namespace sluice
