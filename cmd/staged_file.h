// A file that appears whole or not at all.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace sluice {

// Move-only. One thread at a time. Written as ".sluice-XXXXXX" beside its place (StagingPlace) and renamed. What was
// not published is removed by the destructor.
class StagedFile {
 public:
  // A file that is there already.
  enum class Existing { kReplaced, kRefused };

  // Makes sure, before any long work, that the file can be written. Errors name `path`; FailedPrecondition: something
  // else than a file is there, or a file that is refused.
  static absl::StatusOr<StagedFile> Create(const std::string& path, Existing existing = Existing::kReplaced);

  StagedFile(StagedFile&& other) noexcept;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  // All of the content, onto the disk.
  absl::Status Write(absl::string_view content);

  // Or piece by piece, or by others: where it is being written, and open.
  absl::Status Append(absl::string_view piece);
  std::string TemporaryPath() const;  // absolute
  int fd() const { return fd_.get(); }
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
  std::string name_;       // in parent_ once published
  std::string temporary_;  // in parent_ now; "" when there is nothing to remove
  UniqueFd fd_;
};

}  // namespace sluice
