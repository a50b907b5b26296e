#include "unpack/below_lookup.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {

absl::StatusOr<TreeView::Found> BelowLookup::At(absl::string_view path) {
  ASSIGN_OR_RETURN(TreeView::Found found, view_.Root());
  std::string above;
  const PendingDirectory* pending = &pending_.root();
  size_t depth = 0;
  for (const absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (found.kind == TreeView::Found::Kind::kNothing) break;
    if (depth < way_.size() && way_[depth].name == name) {
      found = way_[depth].found;
    } else {
      way_.resize(depth);
      if (pending != nullptr && pending->Hides(name)) {
        found = TreeView::Found();
      } else {
        ASSIGN_OR_RETURN(found, view_.Child(found, above, name));
      }
      way_.push_back({std::string(name), found});
    }
    above = JoinPath(above, name);
    if (pending != nullptr) {
      const auto child = pending->children.find(std::string(name));
      pending = child == pending->children.end() ? nullptr : child->second.get();
    }
    ++depth;
  }
  return found;
}

}  // namespace sluice
