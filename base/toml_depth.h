// How deep the keys of TOML from outside may nest.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// InvalidArgument, beginning with the number of the line, if a line of `text` has more dots outside of strings and
// comments than any sane one. toml++ makes a table in a table for each dot of a key, and takes them apart by recursion:
// a long enough key would overflow the stack. Arrays and inline tables it bounds itself.
absl::Status CheckTomlDepth(absl::string_view text);

}  // namespace sluice
