// A file that appears whole or not at all.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "cmd/staging.h"

namespace sluice {

// Move-only. One thread at a time. Written beside its place (staging.h) and renamed. What was not published is removed
// by the destructor, what killed runs left beside it by Create().
class StagedFile {
 public:
  // A file that is there already.
  enum class Existing { kReplaced, kRefused };

  // Makes sure, before any long work, that the file can be written. Errors name `path`; FailedPrecondition: something
  // else than a file is there, or a file that is refused.
  static absl::StatusOr<StagedFile> Create(const std::string& path, Existing existing = Existing::kReplaced);

  StagedFile(StagedFile&& other) = default;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  // All of the content, onto the disk.
  absl::Status Write(absl::string_view content);

  // Or piece by piece, or by others: where it is being written, and open.
  absl::Status Append(absl::string_view piece);
  std::string TemporaryPath() const;  // absolute
  int fd() const { return staging_.fd.get(); }
  absl::Status Sync();

  absl::Status Publish();
  // Takes it back after Publish(), when something else went wrong. What was replaced does not come back.
  void Withdraw();

 private:
  StagedFile() = default;

  std::string path_;
  Existing existing_ = Existing::kReplaced;
  UniqueFd parent_;
  std::string parent_path_;
  std::string name_;  // in parent_
  Staging staging_;   // no descriptor: nothing to remove
};

}  // namespace sluice
