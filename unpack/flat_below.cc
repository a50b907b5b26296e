#include "unpack/flat_below.h"

#include <vector>

#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "unpack/directory_names.h"

namespace sluice {

absl::Status FlatBelow::HideName(absl::string_view directory, absl::string_view name) {
  // What goes may be open.
  RETURN_IF_ERROR(tree_.Flush());
  ASSIGN_OR_RETURN(const OpenDirectory* const parent, tree_.Open(directory));
  RETURN_IF_ERROR(RemoveTreeAt(parent->fd.get(), name));
  // Whoever looks at the directory next is to see its own times.
  return tree_.Flush();
}

absl::Status FlatBelow::HideContent(absl::string_view directory) {
  RETURN_IF_ERROR(tree_.Flush());
  ASSIGN_OR_RETURN(const OpenDirectory* const opened, tree_.Open(directory));
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<DirectoryName> names, SomeNamesIn(opened->fd.get(), directory));
    bool any = false;
    for (const DirectoryName& entry : names) {
      if (directory.empty() && entry.name == reserved_) continue;
      any = true;
      RETURN_IF_ERROR(RemoveTreeAt(opened->fd.get(), entry.name));
    }
    if (!any) return tree_.Flush();
  }
}

}  // namespace sluice
