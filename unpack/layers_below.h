// The layers below the one that is being settled: looked up alike in both forms, hidden in different ways.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/file_metadata.h"
#include "unpack/tree_view.h"

namespace sluice {

class LayersBelow {
 public:
  virtual ~LayersBelow() = default;

  virtual const TreeView& view() const = 0;
  // Of a directory that was found at `path` in the view.
  virtual absl::StatusOr<FileMetadata> DirectoryMetadata(const TreeView::Found& found,
                                                         absl::string_view path) const = 0;
  // Makes `path`, whose parent is in the layer, like the file that was found there in the view and is no directory,
  // content and all, as overlayfs does before it changes one.
  virtual absl::Status CopyUp(const TreeView::Found& file, absl::string_view path) = 0;
  // Whether a directory that only whiteouts are in must be made in the layer to hold them.
  virtual bool marks_are_entries() const = 0;
  // Hides `name` in `directory`, which is there below; in the layer nothing has that name.
  virtual absl::Status HideName(absl::string_view directory, absl::string_view name) = 0;
  // Hides everything in `directory`, a directory below and in the layer.
  virtual absl::Status HideContent(absl::string_view directory) = 0;
};

}  // namespace sluice
