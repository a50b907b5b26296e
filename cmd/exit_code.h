// What sluicectl's exit code tells a script. docs/cli.md has the same table, and sluicectl_docs_test holds both
// together.
#pragma once

#include "absl/status/status.h"

namespace sluice {

// 128 + n stands beside these: ended by signal n.
enum class ExitCode {
  kDone = 0,
  kFailed = 1,       // none of the below
  kUsage = 2,        // the command line is wrong; nothing was tried
  kNotFound = 3,     // an image, a tag, a platform, a file
  kNoAccess = 4,     // the registry's 401 or 403; a permission
  kBadImage = 5,     // a digest, a tar, a manifest
  kNoSpace = 6,      // bytes, inodes, quota
  kUnavailable = 7,  // a registry or a daemon that can't be reached, or is too busy: later it may work
};

// The code for what a verb returned. InvalidArgument and DataLoss are about the image, because arguments are checked
// before a verb runs; those of a system call are not.
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace sluice
