// Where something is made before it appears: ".sluice-XXXXXX" beside its place, held by a lock as long as it is made,
// so that what was left by somebody who was killed can be told from what is in the making.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace sluice {

struct StagingPlace {
  enum class Kind { kDirectory, kFile };

  std::string name;  // in the directory
  UniqueFd fd;       // of a directory for reading, of a file for reading and writing; holds the lock
};

// Makes a new one, 0700 or 0600, in the directory `parent`, whose path is `path`. First it removes what is left of
// others in `parent`: ours, named so, and locked by nobody. Errors name `path`.
absl::StatusOr<StagingPlace> MakeStagingPlace(int parent, const std::string& path, StagingPlace::Kind kind);

}  // namespace sluice
