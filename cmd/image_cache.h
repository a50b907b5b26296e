// The blob cache that a command uses.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cmd/config.h"
#include "registry/cache/blob_cache.h"

namespace sluice {

// `path`; if it is empty, root's is the daemon's own, an ordinary user's $XDG_CACHE_HOME/sluice or ~/.cache/sluice.
// NotFound if a user has no home. Directories on the way are made.
absl::StatusOr<std::unique_ptr<BlobCache>> OpenCache(const std::string& path, const Config& config);

}  // namespace sluice
