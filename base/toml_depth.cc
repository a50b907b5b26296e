#include "base/toml_depth.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

constexpr int kMaxDotsInALine = 128;

}  // namespace

absl::Status CheckTomlDepth(absl::string_view text) {
  int line_number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    if (std::count(line.begin(), line.end(), '.') <= kMaxDotsInALine) continue;
    return absl::InvalidArgumentError(absl::StrCat(line_number, ": more than ", kMaxDotsInALine, " dots in a line"));
  }
  return absl::OkStatus();
}

}  // namespace sluice
