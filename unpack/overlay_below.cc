#include "unpack/overlay_below.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <set>
#include <string>

#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {

absl::Status OverlayBelow::HideName(absl::string_view directory, absl::string_view name) {
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, files_.Open(directory));
  const std::string base(name);
  struct stat attributes {};
  if (::mknodat(parent->fd.get(), base.c_str(), S_IFCHR, 0) != 0 ||
      ::fstatat(parent->fd.get(), base.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "mknodat", PrintableName(JoinPath(directory, name)));
  }
  files_.CountNew(attributes);
  return absl::OkStatus();
}

absl::Status OverlayBelow::HideContent(absl::string_view directory) {
  if (directory.empty()) return HideRootContent();
  ASSIGN_OR_RETURN(const OpenDirectory* const opened, files_.Open(directory));
  if (::fsetxattr(opened->fd.get(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
    return ErrnoStatus(errno, "fsetxattr", PrintableName(directory));
  }
  return absl::OkStatus();
}

absl::Status OverlayBelow::HideRootContent() {
  ASSIGN_OR_RETURN(const MergedView::Found root, view().Root());
  ASSIGN_OR_RETURN(const std::set<std::string> names, view().Names(root, ""));
  for (const std::string& name : names) {
    struct stat attributes {};
    ASSIGN_OR_RETURN(const bool exists, files_.Stat(name, attributes));
    if (!exists) {
      RETURN_IF_ERROR(HideName("", name));
      continue;
    }
    if (!S_ISDIR(attributes.st_mode)) continue;
    ASSIGN_OR_RETURN(const MergedView::Found below, view().Child(root, "", name));
    if (below.kind == MergedView::Found::Kind::kDirectory) RETURN_IF_ERROR(HideContent(name));
  }
  return absl::OkStatus();
}

}  // namespace sluice
