// What stands in a directory.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// The names in the open directory `fd` (borrowed), but for "." and "..", in no order. `path` is for messages.
absl::StatusOr<std::vector<std::string>> NamesIn(int fd, absl::string_view path);

}  // namespace sluice
