#include "cmd/toml_document.h"

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/toml_depth.h"

namespace sluice {

// Debian's toml++ is built to throw.
absl::StatusOr<toml::table> ParseToml(absl::string_view text) {
  RETURN_IF_ERROR(CheckTomlDepth(text));
  try {
    return toml::parse(std::string_view(text.data(), text.size()));
  } catch (const toml::parse_error& error) {
    const std::string_view cause = error.description();
    return absl::InvalidArgumentError(
        absl::StrCat(error.source().begin.line, ": ", absl::string_view(cause.data(), cause.size())));
  }
}

}  // namespace sluice
