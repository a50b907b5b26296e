// The entries of one directory, by its descriptor: never by a path that may mean something else by then.
//
// No symbolic link is followed, and nothing but a regular file is opened, not even for a moment: opening a fifo blocks,
// and opening some devices does something. `path` is for messages only.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace sluice {

// In no order, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(int directory, const std::string& path);

// `flags` as for open(2). NotFound if it is missing or something else than a regular file.
absl::StatusOr<UniqueFd> OpenRegularFile(int directory, const std::string& name, int flags, const std::string& path);

// For reading and writing; made with mode 0600 if it is missing. FailedPrecondition if it is something else.
absl::StatusOr<UniqueFd> OpenOrCreateFile(int directory, const std::string& name, const std::string& path);

// Made with mode 0700 if it is missing. FailedPrecondition if it is something else.
absl::StatusOr<UniqueFd> OpenOrMakeDirectory(int parent, const std::string& name, const std::string& path);

// A new file with this content, on the disk when this returns. AlreadyExists; after any other error it is gone.
absl::Status CreateFile(int directory, const std::string& name, absl::string_view content, mode_t mode,
                        const std::string& path);

// mkdir -p; what is made gets mode 0700.
absl::Status MakeDirectories(const std::string& path);

// True if `fd` is the very file that has the name.
bool IsNamed(int directory, const std::string& name, int fd);

}  // namespace sluice
