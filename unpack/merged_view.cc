#include "unpack/merged_view.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr char kOpaque[] = "trusted.overlay.opaque";
constexpr char kRedirect[] = "trusted.overlay.redirect";
constexpr char kMetacopy[] = "trusted.overlay.metacopy";

// One of overlayfs's marks on what `path_fd`, opened with O_PATH, is. It may be there and have no value.
absl::StatusOr<std::optional<std::string>> Mark(int path_fd, const char* name, absl::string_view path) {
  std::array<char, PATH_MAX> value{};
  const std::string self = absl::StrCat("/proc/self/fd/", path_fd);
  const ssize_t size = ::getxattr(self.c_str(), name, value.data(), value.size());
  if (size >= 0) return std::string(value.data(), static_cast<size_t>(size));
  if (errno == ENODATA || errno == ENOTSUP || errno == EPERM) return std::nullopt;
  return ErrnoStatus(errno, absl::StrCat("getxattr ", name), PrintableName(path));
}

absl::Status LeftToKernel(absl::string_view path, absl::string_view feature) {
  return absl::FailedPreconditionError(absl::StrCat("a layer below has overlayfs's ", feature, " on ",
                                                    PrintableName(path), ", which only a mount shows"));
}

// Whether the directory hides what is below it.
absl::StatusOr<bool> IsOpaque(int path_fd, absl::string_view path) {
  ASSIGN_OR_RETURN(const std::optional<std::string> redirect, Mark(path_fd, kRedirect, path));
  if (redirect.has_value()) return LeftToKernel(path, "redirect");
  ASSIGN_OR_RETURN(const std::optional<std::string> opaque, Mark(path_fd, kOpaque, path));
  // "x" says that whiteouts in it may be extended attributes.
  if (opaque == "x") return LeftToKernel(path, "xattr whiteouts");
  return opaque == "y";
}

}  // namespace

bool IsWhiteoutDevice(const struct stat& attributes) {
  return S_ISCHR(attributes.st_mode) && attributes.st_rdev == ::makedev(0, 0);
}

MergedView::MergedView(absl::Span<const int> layer_fds) {
  for (const int fd : layer_fds) layers_.emplace_back(fd);
}

absl::StatusOr<MergedView::Found> MergedView::Root() const {
  Found root;
  for (size_t i = 0; i < layers_.size(); ++i) root.layers.push_back(i);
  if (layers_.empty()) return root;
  root.kind = Found::Kind::kDirectory;
  if (::fstat(layers_[0].fd(), &root.attributes) != 0) return ErrnoStatus(errno, "fstat", "/");
  return root;
}

absl::StatusOr<MergedView::Found> MergedView::Child(const Found& parent, absl::string_view parent_path,
                                                    absl::string_view name) const {
  Found found;
  if (parent.kind != Found::Kind::kDirectory) return found;
  const std::string path = JoinPath(parent_path, name);
  for (const size_t layer : parent.layers) {
    const UniqueFd fd = layers_[layer].Open(path, O_PATH | O_NOFOLLOW);
    if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) continue;
    if (!fd.valid()) return ErrnoStatus(errno, "openat2", PrintableName(path));
    struct stat attributes {};
    if (::fstat(fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(path));
    if (IsWhiteoutDevice(attributes)) return found;
    const bool first = found.kind == Found::Kind::kNothing;
    if (!S_ISDIR(attributes.st_mode)) {
      // Below a directory of a higher layer it is hidden.
      if (!first) return found;
      found.kind = S_ISLNK(attributes.st_mode) ? Found::Kind::kSymlink : Found::Kind::kOther;
      if (S_ISREG(attributes.st_mode)) {
        ASSIGN_OR_RETURN(const std::optional<std::string> metacopy, Mark(fd.get(), kMetacopy, path));
        ASSIGN_OR_RETURN(const std::optional<std::string> redirect, Mark(fd.get(), kRedirect, path));
        if (metacopy.has_value() || redirect.has_value()) return LeftToKernel(path, "metacopy");
      }
    } else {
      found.kind = Found::Kind::kDirectory;
    }
    if (first) found.attributes = attributes;
    found.layers.push_back(layer);
    if (found.kind != Found::Kind::kDirectory) return found;
    ASSIGN_OR_RETURN(const bool opaque, IsOpaque(fd.get(), path));
    if (opaque) return found;
  }
  return found;
}

absl::StatusOr<UniqueFd> MergedView::Open(const Found& found, absl::string_view path, int flags) const {
  UniqueFd fd = layers_[found.layers.front()].Open(path, flags | O_NOFOLLOW);
  if (!fd.valid()) return ErrnoStatus(errno, "openat2", PrintableName(path));
  return fd;
}

absl::StatusOr<std::string> MergedView::ReadLink(const Found& symlink, absl::string_view path) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(symlink, path, O_PATH));
  std::array<char, PATH_MAX> text{};
  const ssize_t size = ::readlinkat(fd.get(), "", text.data(), text.size());
  if (size < 0) return ErrnoStatus(errno, "readlinkat", PrintableName(path));
  return std::string(text.data(), static_cast<size_t>(size));
}

absl::StatusOr<std::set<std::string>> MergedView::Names(const Found& directory, absl::string_view path) const {
  std::set<std::string> candidates;
  for (const size_t layer : directory.layers) {
    UniqueFd fd = layers_[layer].Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd.valid()) return ErrnoStatus(errno, "openat2", PrintableName(path));
    DIR* const stream = ::fdopendir(fd.get());
    if (stream == nullptr) return ErrnoStatus(errno, "fdopendir", PrintableName(path));
    static_cast<void>(fd.Release());  // the stream's now
    while (const dirent* const entry = ::readdir(stream)) candidates.insert(entry->d_name);
    ::closedir(stream);
  }
  candidates.erase(".");
  candidates.erase("..");
  std::set<std::string> names;
  for (const std::string& name : candidates) {
    ASSIGN_OR_RETURN(const Found found, Child(directory, path, name));
    if (found.kind != Found::Kind::kNothing) names.insert(name);
  }
  return names;
}

}  // namespace sluice
