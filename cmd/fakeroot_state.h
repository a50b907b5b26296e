// What fakeroot(1) is to make a program believe of a tree: owners, modes, devices, extended attributes.
//
// Two files in one directory with the tree: "state" as `fakeroot -i` reads it, "xattrs" as `setfattr --restore` does
// (fakeroot keeps attributes only as long as it runs, and hides those on the disk). What is in neither is root's, with
// the mode on the disk, and has no attributes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "cmd/program.h"
#include "unpack/unprivileged_metadata.h"

namespace sluice {

// Move-only. One thread at a time.
class FakerootState {
 public:
  // Makes the two files in `directory_fd`, borrowed; the tree is the directory `tree` in it.
  static absl::StatusOr<FakerootState> Create(int directory_fd, const std::string& tree);

  // InvalidArgument: an attribute that is longer than fakeroot's messages.
  absl::Status Add(const UnprivilegedMetadata::InexactFile& file);
  absl::Status Finish();

  // Files with extended attributes.
  int64_t files_with_xattrs() const { return files_with_xattrs_; }
  // `call`, which runs in the directory, under fakeroot. NotFound: a program is missing.
  absl::StatusOr<ProgramCall> Wrap(const ProgramCall& call) const;

 private:
  FakerootState() = default;

  std::string tree_;
  dev_t device_ = 0;
  int64_t files_with_xattrs_ = 0;
  UniqueFd state_;
  UniqueFd xattrs_;
  std::string state_text_;  // not yet written
  std::string xattrs_text_;
};

}  // namespace sluice
