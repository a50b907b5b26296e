// Deletes a directory tree without ever following a link out of it.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"

namespace sluice {

// Removes `name` (one path component) below the open directory `parent_fd`, with all that is in it. A missing name is
// success: the call can be repeated after a failure. Mount points inside are errors (EBUSY), never crossed. Depth is
// bounded by memory, not by the stack or by open descriptors. Cancelled when `cancellation` (borrowed, may be null)
// says so; what was deleted until then stays deleted. Errors: the first failing system call with the name it failed on.
absl::Status RemoveTreeAt(int parent_fd, absl::string_view name, const Cancellation* cancellation = nullptr);

// The same by path; for callers that own the whole path (a temporary directory).
absl::Status RemoveTree(absl::string_view path);

}  // namespace sluice
