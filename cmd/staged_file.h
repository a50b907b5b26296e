// A small file that appears whole or not at all.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "cmd/staging.h"

namespace sluice {

// Move-only. One thread at a time. Written beside its place (staging.h) and renamed; a file that is there already is
// replaced. What was not published is removed by the destructor, what killed runs left beside it by Create().
class StagedFile {
 public:
  // Makes sure, before any long work, that the file can be written. Errors name `path`.
  static absl::StatusOr<StagedFile> Create(const std::string& path);

  StagedFile(StagedFile&& other) = default;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  // All of the content, onto the disk.
  absl::Status Write(absl::string_view content);
  absl::Status Publish();

 private:
  StagedFile() = default;

  std::string path_;
  UniqueFd parent_;
  std::string name_;  // in parent_
  Staging staging_;   // no descriptor: nothing to remove
};

}  // namespace sluice
