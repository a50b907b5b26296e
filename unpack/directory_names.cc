#include "unpack/directory_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/errno_status.h"
#include "unpack/entry_name.h"

namespace sluice {

absl::StatusOr<std::vector<DirectoryName>> SomeNamesIn(int directory_fd, absl::string_view path) {
  constexpr size_t kBytes = size_t{8} << 10;
  alignas(dirent64) std::array<char, kBytes> buffer;
  std::vector<DirectoryName> names;
  if (::lseek(directory_fd, 0, SEEK_SET) != 0) return ErrnoStatus(errno, "lseek", PrintableName(path));
  // The first part may have nothing but "." and "..".
  while (names.empty()) {
    const ssize_t bytes = ::getdents64(directory_fd, buffer.data(), buffer.size());
    if (bytes < 0) return ErrnoStatus(errno, "getdents64", PrintableName(path));
    if (bytes == 0) break;
    for (ssize_t offset = 0; offset < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + offset);
      offset += entry->d_reclen;
      const absl::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN) {
        struct stat attributes {};
        if (::fstatat(directory_fd, entry->d_name, &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
          return ErrnoStatus(errno, "fstatat", PrintableName(JoinPath(path, name)));
        }
        is_directory = S_ISDIR(attributes.st_mode);
      }
      names.push_back({std::string(name), is_directory});
    }
  }
  return names;
}

}  // namespace sluice
