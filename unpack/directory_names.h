// The names in an open directory, a part at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct DirectoryName {
  std::string name;
  bool is_directory = false;
};

// Some of the names in the directory, read anew from its start; none if it is empty. For callers that take away what
// they were given before they ask again: memory then does not grow with the directory. `path` is for messages.
absl::StatusOr<std::vector<DirectoryName>> SomeNamesIn(int directory_fd, absl::string_view path);

}  // namespace sluice
