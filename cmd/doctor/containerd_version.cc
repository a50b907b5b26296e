#include "cmd/doctor/containerd_version.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

// The digits that `text` begins with.
std::optional<int> TakeNumber(absl::string_view& text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) ++digits;
  int number = 0;
  if (!absl::SimpleAtoi(text.substr(0, digits), &number)) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

}  // namespace

std::optional<ContainerdVersion> ParseContainerdVersion(absl::string_view text) {
  absl::ConsumePrefix(&text, "v");
  const std::optional<int> major = TakeNumber(text);
  if (!major.has_value() || !absl::ConsumePrefix(&text, ".")) return std::nullopt;
  const std::optional<int> minor = TakeNumber(text);
  if (!minor.has_value()) return std::nullopt;
  std::optional<int> patch;
  if (absl::ConsumePrefix(&text, ".")) patch = TakeNumber(text);
  return ContainerdVersion{*major, *minor, patch.value_or(std::numeric_limits<int>::max())};
}

bool ReadsExportsRoot(const ContainerdVersion& version) { return version >= kSince17Exports; }

}  // namespace sluice
