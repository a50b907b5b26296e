#include "cmd/fakeroot_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr char kState[] = "state";
constexpr char kXattrs[] = "xattrs";
constexpr size_t kBufferBytes = 64 << 10;
// What a message of fakeroot's holds (message.h: MAX_IPC_BUFFER_SIZE), name, NUL and value.
constexpr size_t kMostXattrBytes = 1024;

absl::StatusOr<UniqueFd> Make(int directory_fd, const char* name) {
  UniqueFd fd(::openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, "openat", name);
  return fd;
}

absl::Status Write(const UniqueFd& fd, absl::string_view name, std::string& text) {
  absl::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", name);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  text.clear();
  return absl::OkStatus();
}

// Paths and names as setfattr reads them back.
std::string Quote(absl::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '.' || c == '-' || c == '_') {
      quoted += c;
    } else {
      absl::StrAppendFormat(&quoted, "\\%03o", static_cast<unsigned char>(c));
    }
  }
  return quoted;
}

}  // namespace

absl::StatusOr<FakerootState> FakerootState::Create(int directory_fd, const std::string& tree) {
  FakerootState state;
  state.tree_ = tree;
  struct stat attributes = {};
  if (::fstatat(directory_fd, tree.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "fstatat", tree);
  }
  state.device_ = attributes.st_dev;
  ASSIGN_OR_RETURN(state.state_, Make(directory_fd, kState));
  ASSIGN_OR_RETURN(state.xattrs_, Make(directory_fd, kXattrs));
  return state;
}

absl::Status FakerootState::Add(const UnprivilegedMetadata::InexactFile& file) {
  absl::StrAppendFormat(&state_text_, "dev=%x,ino=%u,mode=%o,uid=%u,gid=%u,nlink=1,rdev=%u\n", device_, file.inode,
                        file.mode, file.uid, file.gid, file.device);
  if (state_text_.size() >= kBufferBytes) RETURN_IF_ERROR(Write(state_, kState, state_text_));
  if (file.xattrs->empty()) return absl::OkStatus();
  ++files_with_xattrs_;
  absl::StrAppend(&xattrs_text_, "# file: ", Quote(absl::StrCat(tree_, file.path.empty() ? "" : "/", file.path)), "\n");
  for (const ExtendedAttribute& xattr : *file.xattrs) {
    if (xattr.name.size() + 1 + xattr.value.size() > kMostXattrBytes) {
      return absl::FailedPreconditionError(absl::StrCat(
          absl::CHexEscape(file.path), ": the extended attribute ", absl::CHexEscape(xattr.name), " has ",
          xattr.value.size(), " bytes, and fakeroot keeps less than ", kMostXattrBytes, ": only root can export it"));
    }
    absl::StrAppend(&xattrs_text_, Quote(xattr.name), "=0x", absl::BytesToHexString(xattr.value), "\n");
  }
  xattrs_text_ += "\n";
  return xattrs_text_.size() < kBufferBytes ? absl::OkStatus() : Write(xattrs_, kXattrs, xattrs_text_);
}

absl::Status FakerootState::Finish() {
  RETURN_IF_ERROR(Write(state_, kState, state_text_));
  return Write(xattrs_, kXattrs, xattrs_text_);
}

absl::StatusOr<ProgramCall> FakerootState::Wrap(const ProgramCall& call) const {
  ASSIGN_OR_RETURN(const std::string fakeroot, FindProgram("fakeroot", "fakeroot"));
  ProgramCall wrapped = call;
  wrapped.argv = {fakeroot, "-i", kState, "--"};
  if (files_with_xattrs_ > 0) {
    ASSIGN_OR_RETURN(const std::string setfattr, FindProgram("setfattr", "attr"));
    for (const absl::string_view word :
         {absl::string_view("/bin/sh"), absl::string_view("-c"),
          absl::string_view("\"$0\" -h --restore=xattrs && exec \"$@\""), absl::string_view(setfattr)}) {
      wrapped.argv.emplace_back(word);
    }
  }
  wrapped.argv.insert(wrapped.argv.end(), call.argv.begin(), call.argv.end());
  return wrapped;
}

}  // namespace sluice
