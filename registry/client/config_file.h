// A small file that an administrator or a login command wrote: hosts.toml, config.json, a certificate.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace sluice {

// The file at `path`, whole; symlinks are followed. May be called from several threads.
// Errors name the path, never what is in the file: NotFound; PermissionDenied; FailedPrecondition not a regular file (a
// FIFO would block its reader); InvalidArgument larger than `max_bytes`; else what the system says.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path, int64_t max_bytes);

}  // namespace sluice
