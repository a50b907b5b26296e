// The name of a tar entry as a path below the layer's root.
// Source: containerd pkg/archive (filepath.Clean, then joined below the root); names are bytes, not text.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// "/a//./b/", "./a/b" and "../a/x/../b" are all "a/b"; the root itself ("", ".", "/", "..") is "". ".." is taken
// lexically and stops at the root. InvalidArgument: a NUL byte in the name, or more than `max_depth` components.
absl::StatusOr<std::string> NormalizeEntryName(absl::string_view name, int64_t max_depth);

// "a/b/c" → {"a/b", "c"}; "c" → {"", "c"}.
std::pair<absl::string_view, absl::string_view> SplitPath(absl::string_view path);

// directory + "/" + name, without the slash below the root.
std::string JoinPath(absl::string_view directory, absl::string_view name);

// Puts the components of `path`, but for empty ones and ".", before those in `rest`, whose next one is its last.
void PushComponents(absl::string_view path, std::vector<std::string>& rest);

// For messages: control and non-ASCII bytes escaped, the middle of a long name left out.
std::string PrintableName(absl::string_view name);

}  // namespace sluice
