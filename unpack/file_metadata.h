// Owner, mode, extended attributes and times of a file, and putting them on it.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct ExtendedAttribute {
  std::string name;
  std::string value;  // bytes, may be empty
};

// The default is what a directory gets that nobody describes: 0755, root's, of 1970, so that a layer always unpacks to
// the same tree.
struct FileMetadata {
  mode_t mode = 0755;  // permission bits with setuid, setgid and sticky; not the type
  uid_t uid = 0;
  gid_t gid = 0;
  std::array<timespec, 2> times = {};  // access, modification
  std::vector<ExtendedAttribute> xattrs;
};

// What an image may set: not `trusted.*`, which would forge overlayfs's own marks (`trusted.overlay.opaque`) and which
// containerd skips too, and not `security.selinux`, which is the host's to decide. `user.overlay.*` is plain data on
// mounts without `userxattr`, the only kind there is here.
bool IsXattrFromImageKept(absl::string_view name);

// A file to be changed: by descriptor where it is open for reading or writing, else by name in its directory, which is
// never followed.
struct FileRef {
  int directory_fd = -1;
  const char* name = nullptr;
  int fd = -1;
};

// Puts `metadata` on the file in the only order that works: owner (clears setuid and capabilities), extended
// attributes, mode, times. What is already so is not set again; `current` is the file's stat now. Extended attributes
// that the file system or the file's type does not take are left out; those that the file has and `metadata` has not
// stay. `with_times` is false for directories that will still be written to.
// `refused`, where it is given, gets the attributes that only root could set; without it they are an error.
// Errors: as the kernel gives them, naming the call and `path`.
absl::Status ApplyMetadata(const FileRef& file, const struct stat& current, const FileMetadata& metadata,
                           bool with_times, absl::string_view path, std::vector<ExtendedAttribute>* refused = nullptr);

// Sets the permission bits of a file that is no symlink.
absl::Status SetMode(const FileRef& file, mode_t mode, absl::string_view path);

// Takes an extended attribute away if the file has it.
absl::Status RemoveXattr(const FileRef& file, const std::string& name, absl::string_view path);

// The ACL that a new file inherits from its directory is not in the tar: takes it away.
absl::Status RemoveInheritedAcl(const FileRef& file, bool is_directory, absl::string_view path);

// All of a file's metadata. Extended attributes but for overlayfs's own and `security.selinux`.
absl::StatusOr<FileMetadata> ReadMetadata(const FileRef& file, const struct stat& current, absl::string_view path);

// Makes the directory's extended attributes exactly those of `metadata`, overlayfs's own and `security.selinux` apart.
absl::Status RemoveOtherXattrs(int directory_fd, const FileMetadata& metadata, absl::string_view path);

}  // namespace sluice
