// Is a directory the store that the configuration says it is?
#pragma once

#include <string>

#include "absl/status/status.h"
#include "cmd/config.h"

namespace sluice {

// OK also for an empty directory: nobody has pushed yet. NotFound it is not there; PermissionDenied it can't be read;
// FailedPrecondition it is something else.
absl::Status ProbeStore(StoreKind kind, const std::string& path);

}  // namespace sluice
