// A small file that appears whole or not at all.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace sluice {

// Move-only. One thread at a time. Written as ".sluice-XXXXXX" beside its place and renamed; a file that is there
// already is replaced. What was not published is removed by the destructor.
class StagedFile {
 public:
  // Makes sure, before any long work, that the file can be written. Errors name `path`.
  static absl::StatusOr<StagedFile> Create(const std::string& path);

  StagedFile(StagedFile&& other) noexcept;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  // All of the content, onto the disk.
  absl::Status Write(absl::string_view content);
  absl::Status Publish();

 private:
  StagedFile() = default;

  std::string path_;
  std::string temporary_;  // "" when there is nothing to remove
  UniqueFd fd_;
};

}  // namespace sluice
