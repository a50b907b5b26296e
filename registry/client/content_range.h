// Content-Range: which part of a blob an answer holds (RFC 9110 section 14.4).
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace sluice {

struct ContentRange {
  std::optional<int64_t> first;  // unset in "bytes */1234", which says that a range could not be served
  std::optional<int64_t> last;   // inclusive; never less than `first`
  std::optional<int64_t> total;  // unset for "*"; always more than `last`
};

// "bytes 0-499/1234", "bytes 0-499/*", "bytes */1234"; unset for anything else.
std::optional<ContentRange> ParseContentRange(absl::string_view text);

}  // namespace sluice
