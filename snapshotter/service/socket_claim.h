// The right to serve a Unix socket path: one process at a time, and nobody's live socket is ever taken away.
//
// gRPC, told to listen at a path, unlinks whatever is there, and again what is there when it ends, be it another's. So
// it never learns the path: the socket is made here.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace sluice {

// One thread at a time.
class SocketClaim {
 public:
  // Makes the directory of `path` (0711) if it is missing and takes the lock file <path>.lock. Errors: InvalidArgument
  // a path too long for a socket or not absolute; FailedPrecondition another process has the lock, or answers at the
  // path, or something that is no socket lies there.
  static absl::StatusOr<std::unique_ptr<SocketClaim>> Take(const std::string& path);

  // Removes the socket if it is still ours, gives back the lock. The lock file stays: two processes must never lock two
  // files of the same name.
  ~SocketClaim();
  SocketClaim(const SocketClaim&) = delete;
  SocketClaim& operator=(const SocketClaim&) = delete;

  const std::string& path() const { return path_; }

  // The socket, mode 0600, which listens and is at the path when this returns. Who connects before waits for nobody: at
  // first it has a name of its own, <path>.<pid>. Once.
  absl::StatusOr<UniqueFd> Listen();

 private:
  explicit SocketClaim(std::string path);

  absl::Status TakeLock();
  absl::Status RefuseIfServed() const;
  absl::Status Publish(int socket);

  const std::string path_;
  const std::string temporary_path_;
  UniqueFd lock_;
  bool published_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace sluice
