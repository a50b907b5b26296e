// A configuration file's text as TOML.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "toml++/toml.h"

namespace sluice {

// InvalidArgument beginning with the number of the line: "3: …". It may quote the line, so `text` must hold no secret.
absl::StatusOr<toml::table> ParseToml(absl::string_view text);

}  // namespace sluice
