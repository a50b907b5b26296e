// The head of an HTTP answer, gathered line by line, within bounds.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice {

// One thread at a time.
class HttpHead {
 public:
  // Larger heads are refused, whatever is in them; 1xx heads before the real one count too.
  static constexpr size_t kMaxBytes = 256 * 1024;

  // A line with or without its end. A status line starts anew: the 1xx heads before the real one don't matter. False
  // when the head has become too large.
  bool Add(absl::string_view line);

  // `name` in lower case. "" when absent; of several the last.
  std::string Last(absl::string_view name) const;
  // Of several all, in their order.
  std::vector<std::string> All(absl::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;  // names in lower case
  size_t bytes_ = 0;
};

}  // namespace sluice
