// Where unfinished work lies: ".sluice-staged-XXXXXX" in the directory in which it is to appear. Its maker holds
// flock(2) on it as long as it lives. What nobody holds was left by a process that was killed, and the next one removes
// it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "base/unique_fd.h"

namespace sluice {

// A new one, open and locked. Its owner renames or removes it. Where the file system has no locks it is not locked, and
// never taken for abandoned either.
struct Staging {
  std::string name;  // in the directory it was made in
  UniqueFd fd;
};

// `parent_fd` is borrowed; errors are those of the system call, naming it and the new entry. A directory is 0700, a
// file what the umask leaves of 0666, open for reading and writing.
absl::StatusOr<Staging> StageDirectory(int parent_fd);
absl::StatusOr<Staging> StageFile(int parent_fd);

// True for names as they are given here.
bool IsStagedName(absl::string_view name);

// Removes what is abandoned in the directory `parent_fd` and belongs to this user; nothing where other users may rename
// what is in it. What can't be removed stays, in silence: it is not this run's failure. `cancellation` may be null.
void RemoveAbandoned(int parent_fd, const Cancellation* cancellation);

}  // namespace sluice
