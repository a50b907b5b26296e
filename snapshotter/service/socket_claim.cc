#include "snapshotter/service/socket_claim.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unix_socket.h"
#include "glog/logging.h"

namespace sluice {
namespace {

// sockaddr_un holds 108 bytes, one of them for the end.
constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

absl::Status MakeDirectoryOf(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string above = path.substr(0, slash);
    if (mkdir(above.c_str(), 0711) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", above);
  }
  return absl::OkStatus();
}

}  // namespace

SocketClaim::SocketClaim(std::string path)
    : path_(std::move(path)), temporary_path_(absl::StrCat(path_, ".", getpid())) {}

absl::StatusOr<std::unique_ptr<SocketClaim>> SocketClaim::Take(const std::string& path) {
  auto claim = std::unique_ptr<SocketClaim>(new SocketClaim(path));
  const auto take = [&]() -> absl::Status {
    if (!absl::StartsWith(path, "/") || absl::EndsWith(path, "/")) {
      return absl::InvalidArgumentError("is not an absolute path of a file");
    }
    if (claim->temporary_path_.size() > kMaxSocketPath) {
      return absl::InvalidArgumentError(absl::StrCat("is too long for a socket: with .<pid> it has ",
                                                     claim->temporary_path_.size(), " bytes, ", kMaxSocketPath,
                                                     " are allowed"));
    }
    RETURN_IF_ERROR(MakeDirectoryOf(path));
    RETURN_IF_ERROR(claim->TakeLock());
    return claim->RefuseIfServed();
  };
  if (const absl::Status status = take(); !status.ok()) return Annotate(status, absl::StrCat("address: ", path));
  return claim;
}

absl::Status SocketClaim::TakeLock() {
  const std::string lock_path = absl::StrCat(path_, ".lock");
  lock_.Reset(open(lock_path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_.valid()) return ErrnoStatus(errno, "open", lock_path);
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "flock", lock_path);
  return absl::FailedPreconditionError(absl::StrCat("is served by another process, which holds ", lock_path));
}

absl::Status SocketClaim::RefuseIfServed() const {
  struct stat info;
  if (lstat(path_.c_str(), &info) != 0) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "lstat", path_);
  if (!S_ISSOCK(info.st_mode)) return absl::FailedPreconditionError("exists and is not a socket");
  if (ProbeSocket(path_).state == SocketState::kServed) {
    return absl::FailedPreconditionError("is served by another program");
  }
  return absl::OkStatus();  // left by a process that was killed; Listen() replaces it
}

absl::StatusOr<UniqueFd> SocketClaim::Listen() {
  UniqueFd listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening.valid()) return ErrnoStatus(errno, "socket", path_);
  if (unlink(temporary_path_.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "unlink", temporary_path_);
  const sockaddr_un address = *UnixAddress(temporary_path_);  // Take() has looked
  // From its first moment it is nobody's but root's.
  const mode_t before = umask(0177);
  const bool bound = bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  const int error = errno;
  umask(before);
  if (!bound) return ErrnoStatus(error, "bind", temporary_path_);
  if (const absl::Status status = Publish(listening.get()); !status.ok()) {
    unlink(temporary_path_.c_str());
    return status;
  }
  return listening;
}

absl::Status SocketClaim::Publish(int socket) {
  struct stat info;
  if (chmod(temporary_path_.c_str(), 0600) != 0) return ErrnoStatus(errno, "chmod", temporary_path_);
  if (listen(socket, SOMAXCONN) != 0) return ErrnoStatus(errno, "listen", temporary_path_);
  if (lstat(temporary_path_.c_str(), &info) != 0) return ErrnoStatus(errno, "lstat", temporary_path_);
  if (rename(temporary_path_.c_str(), path_.c_str()) != 0) return ErrnoStatus(errno, "rename", path_);
  device_ = info.st_dev;
  inode_ = info.st_ino;
  published_ = true;
  return absl::OkStatus();
}

SocketClaim::~SocketClaim() {
  struct stat info;
  const bool ours = published_ && lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  if (ours && unlink(path_.c_str()) != 0) PLOG(WARNING) << "unlink: " << path_;
}

}  // namespace sluice
