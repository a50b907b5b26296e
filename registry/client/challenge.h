// The challenges of WWW-Authenticate: which proof of identity a registry takes (RFC 9110 section 11.6.1; Docker's token
// authentication).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sluice {

struct Challenge {
  std::string scheme;                             // in lower case: "basic", "bearer"
  std::map<std::string, std::string> parameters;  // names in lower case, values unquoted; several scopes as one list
};

// Those of all `headers`, in their order; one header may hold several. What can't be read is passed over.
std::vector<Challenge> ParseChallenges(absl::Span<const std::string> headers);

}  // namespace sluice
