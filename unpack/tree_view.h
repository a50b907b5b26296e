// What the layers below show, looked up name by name.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

class TreeView {
 public:
  virtual ~TreeView() = default;

  // What is at a place: of a directory, which layers share it.
  struct Found {
    enum class Kind { kNothing, kDirectory, kSymlink, kOther };
    Kind kind = Kind::kNothing;
    std::vector<size_t> layers;  // topmost first; of anything but a directory the one that has it
    struct stat attributes {};   // in the topmost of them
  };

  virtual absl::StatusOr<Found> Root() const = 0;
  // `name` in the directory `parent`, which is at `parent_path`. FailedPrecondition where only the kernel can tell.
  virtual absl::StatusOr<Found> Child(const Found& parent, absl::string_view parent_path,
                                      absl::string_view name) const = 0;
  virtual absl::StatusOr<std::string> ReadLink(const Found& symlink, absl::string_view path) const = 0;
};

}  // namespace sluice
