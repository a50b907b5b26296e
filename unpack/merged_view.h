// What overlayfs would show of a stack of layer directories, looked up without mounting it.
// Source: kernel Documentation/filesystems/overlayfs.rst (whiteouts, opaque directories, merged lookup).
#pragma once

#include <sys/stat.h>

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/rooted_directory.h"
#include "base/unique_fd.h"
#include "unpack/tree_view.h"

namespace sluice {

// Const methods only; any thread. A single flat tree is a stack of one.
class MergedView : public TreeView {
 public:
  // Directories of the layers, topmost first, borrowed.
  explicit MergedView(absl::Span<const int> layer_fds);

  // The root is merged from all layers: overlayfs does not look at opaque marks there.
  absl::StatusOr<Found> Root() const override;
  // FailedPrecondition where a layer uses overlayfs features that only the kernel can resolve (redirects, metadata-only
  // copies).
  absl::StatusOr<Found> Child(const Found& parent, absl::string_view parent_path,
                              absl::string_view name) const override;
  absl::StatusOr<std::string> ReadLink(const Found& symlink, absl::string_view path) const override;

  // Opens what was found at `path`, in its topmost layer, not followed.
  absl::StatusOr<UniqueFd> Open(const Found& found, absl::string_view path, int flags) const;
  // The names that the directory shows.
  absl::StatusOr<std::set<std::string>> Names(const Found& directory, absl::string_view path) const;

 private:
  std::vector<RootedDirectory> layers_;
};

// A character device 0:0: overlayfs's mark for "not here".
bool IsWhiteoutDevice(const struct stat& attributes);

}  // namespace sluice
