#include "base/toml_depth.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr int kMaxDotsInALine = 128;

// The size of the string that `text` begins with, its quotes included. TOML 1.0 has "…" and '…', which end with the
// line at the latest, and both with three quotes over several lines, where up to two more may stand right before the
// end.
size_t StringSize(absl::string_view text) {
  const char quote = text.front();
  const std::string three(3, quote);
  const bool is_long = absl::StartsWith(text, three);
  for (size_t i = is_long ? 3 : 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == '\n' && !is_long) {
      return i;
    } else if (text[i] == quote && !is_long) {
      return i + 1;
    } else if (is_long && absl::StartsWith(text.substr(i), three)) {
      i += 3;
      for (int more = 0; more < 2 && i < text.size() && text[i] == quote; ++more) ++i;
      return i;
    }
  }
  return text.size();
}

}  // namespace

absl::Status CheckTomlDepth(absl::string_view text) {
  int line_number = 1;
  int dots = 0;
  for (size_t i = 0; i < text.size();) {
    const absl::string_view rest = text.substr(i);
    size_t size = 1;
    if (rest[0] == '"' || rest[0] == '\'') {
      size = StringSize(rest);
      line_number += static_cast<int>(std::count(rest.begin(), rest.begin() + size, '\n'));
    } else if (rest[0] == '#') {
      size = std::min(rest.find('\n'), rest.size());
    } else if (rest[0] == '\n') {
      ++line_number;
      dots = 0;
    } else if (rest[0] == '.' && ++dots > kMaxDotsInALine) {
      return absl::InvalidArgumentError(absl::StrCat(line_number, ": more than ", kMaxDotsInALine, " dots in a line"));
    }
    i += size;
  }
  return absl::OkStatus();
}

}  // namespace sluice
