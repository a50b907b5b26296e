// A directory that is filled out of sight and appears whole, or not at all.
#pragma once

#include <sys/stat.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace sluice {

// Move-only. One thread at a time.
//
// A path that does not exist yet is filled as ".sluice-XXXXXX" beside it (StagingPlace) and renamed. One that is an
// empty directory is filled in place, because it may be a mount point or lie where its owner may write and we may not.
class StagedDirectory {
 public:
  // Errors, each naming `path`: FailedPrecondition not empty, not a directory, a dangling link; NotFound its parent is
  // missing; else as the system call gave it. Nothing was made then.
  static absl::StatusOr<StagedDirectory> Create(const std::string& path);

  // One that is never published, in the directory `parent`: for what is only needed on the way.
  static absl::StatusOr<StagedDirectory> CreateScratch(const std::string& parent);

  StagedDirectory(StagedDirectory&&) = default;
  StagedDirectory& operator=(StagedDirectory&&) = delete;
  // Discards what was not published, silently: Discard() first where the error matters.
  ~StagedDirectory();

  // Where to fill it; owned here.
  int fd() const { return directory_.get(); }

  // Makes it appear. AlreadyExists if something has come to stand there meanwhile; it stays as it is then.
  absl::Status Publish();
  // Removes all that was filled; also after Publish(), when something else went wrong. A directory that was there
  // before is empty again, with the owner, mode and times it had.
  absl::Status Discard();

 private:
  StagedDirectory() = default;
  absl::Status Stage();
  absl::Status MakePlace(const std::string& parent);
  absl::Status Empty();

  std::string path_;
  UniqueFd directory_;       // not valid: nothing to discard
  UniqueFd parent_;          // not valid: filled in place
  std::string staged_;       // its name in parent_ now
  std::string name_;         // its name in parent_ once published
  struct stat before_ = {};  // in place only
  bool published_ = false;
};

}  // namespace sluice
