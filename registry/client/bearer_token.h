// The answer of a token server (Docker's token authentication; RFC 6749 section 5.1).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

struct BearerToken {
  std::string value;      // secret
  absl::Time refresh_at;  // a little before it expires
};

// `received_at` by our own clock. The life of the token is `expires_in` seconds, 60 if that is missing or not positive,
// less what it has already lived by `issued_at` where the two clocks agree enough for that to make sense.
// InvalidArgument, which never quotes `json`.
absl::StatusOr<BearerToken> ParseTokenAnswer(absl::string_view json, absl::Time received_at);

}  // namespace sluice
