#include "registry/client/content_range.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace sluice {
namespace {

// SimpleAtoi also takes signs and spaces.
bool ParseNumber(absl::string_view text, std::optional<int64_t>& number) {
  int64_t value = 0;
  if (!std::all_of(text.begin(), text.end(), absl::ascii_isdigit) || !absl::SimpleAtoi(text, &value)) return false;
  number = value;
  return true;
}

}  // namespace

std::optional<ContentRange> ParseContentRange(absl::string_view text) {
  constexpr absl::string_view kUnit = "bytes";
  text = absl::StripAsciiWhitespace(text);
  if (!absl::StartsWithIgnoreCase(text, kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  if (text.empty() || text[0] != ' ') return std::nullopt;
  text = absl::StripLeadingAsciiWhitespace(text);
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const absl::string_view range = text.substr(0, slash);
  const absl::string_view total = text.substr(slash + 1);

  ContentRange parsed;
  if (total != "*" && !ParseNumber(total, parsed.total)) return std::nullopt;
  if (range == "*") return parsed.total.has_value() ? std::optional<ContentRange>(parsed) : std::nullopt;
  const size_t dash = range.find('-');
  if (dash == range.npos || !ParseNumber(range.substr(0, dash), parsed.first) ||
      !ParseNumber(range.substr(dash + 1), parsed.last)) {
    return std::nullopt;
  }
  if (*parsed.last < *parsed.first || (parsed.total.has_value() && *parsed.total <= *parsed.last)) return std::nullopt;
  return parsed;
}

}  // namespace sluice
