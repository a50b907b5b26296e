// A directory that is filled out of sight and appears whole, or not at all.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/unique_fd.h"
#include "cmd/staging.h"
#include "unpack/file_metadata.h"

namespace sluice {

// Move-only. One thread at a time.
//
// A path that does not exist yet is filled beside it (staging.h) and renamed: it is absent or whole, whenever this
// process is killed. An empty directory is filled in itself, because it may be a mount point or lie where its owner may
// write and we may not; its content is moved up when it is complete, name by name. What killed runs left in either
// place is removed first.
class StagedDirectory {
 public:
  // Errors, each naming `path`: FailedPrecondition not empty, not a directory, a dangling link; NotFound its parent is
  // missing; else as the system call gave it. Nothing was made then. `cancellation` (may be null) is for the removing.
  static absl::StatusOr<StagedDirectory> Create(const std::string& path, const Cancellation* cancellation = nullptr);

  // One that is never published, in the directory `parent`: for what is only needed on the way.
  static absl::StatusOr<StagedDirectory> CreateScratch(const std::string& parent, const Cancellation* cancellation);

  StagedDirectory(StagedDirectory&&) = default;
  StagedDirectory& operator=(StagedDirectory&&) = delete;
  // Discards what was not published, silently: Discard() first where the error matters.
  ~StagedDirectory();

  // Where to fill it; owned here.
  int fd() const { return staging_.fd.get(); }

  // Makes it appear. AlreadyExists if something has come to stand there meanwhile; it stays as it is then.
  absl::Status Publish();
  // Removes all that was filled; also after Publish(), when something else went wrong. A directory that was there
  // before is as it was, with its owner, mode, extended attributes and times, unless others put something into it.
  absl::Status Discard();

 private:
  StagedDirectory() = default;
  bool in_place() const { return name_.empty(); }
  absl::Status OpenParent();
  absl::Status PublishInPlace();
  absl::Status MoveUp(const std::string& name);
  absl::Status RestoreParent();

  std::string path_;
  UniqueFd parent_;                 // where staging_ lies: the directory itself when it is filled in place
  std::string name_;                // its name in parent_ once published; "" in place
  Staging staging_;                 // no descriptor: nothing to discard
  FileMetadata before_;             // in place only: parent_'s
  std::vector<std::string> moved_;  // in place only: what was moved up into parent_
  bool published_ = false;
};

}  // namespace sluice
