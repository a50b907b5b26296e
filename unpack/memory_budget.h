// A bound on the memory for what must be remembered to the end of a layer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice {

// One thread at a time.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // InvalidArgument when `bytes` more are too much.
  absl::Status Take(size_t bytes) {
    taken_bytes_ += static_cast<int64_t>(bytes);
    if (taken_bytes_ <= max_bytes_) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("names to be remembered to the end of the layer (whiteouts, unlisted "
                     "directories, links to later names) take more than ",
                     max_bytes_, " bytes"));
  }

 private:
  const int64_t max_bytes_;
  int64_t taken_bytes_ = 0;
};

}  // namespace sluice
