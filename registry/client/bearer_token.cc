#include "registry/client/bearer_token.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr absl::Duration kDefaultLife = absl::Seconds(60);
constexpr absl::Duration kMaxLife = absl::Hours(24);
constexpr absl::Duration kMaxMargin = absl::Seconds(30);

absl::Duration Life(const Json& answer) {
  const auto member = answer.find("expires_in");
  if (member == answer.end() || !member->is_number()) return kDefaultLife;
  const double seconds = member->get<double>();
  if (!(seconds > 0)) return kDefaultLife;
  return std::min(absl::Seconds(seconds), kMaxLife);
}

}  // namespace

absl::StatusOr<BearerToken> ParseTokenAnswer(absl::string_view json, absl::Time received_at) {
  ASSIGN_OR_RETURN(const Json answer, ParseJsonObject(json));
  BearerToken token;
  ASSIGN_OR_RETURN(token.value, StringMember(answer, "access_token"));
  if (token.value.empty()) {
    ASSIGN_OR_RETURN(token.value, StringMember(answer, "token"));
  }
  if (token.value.empty()) return absl::InvalidArgumentError("neither \"token\" nor \"access_token\"");
  // It becomes part of a header line.
  if (!std::all_of(token.value.begin(), token.value.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError("a token with spaces or control characters");
  }
  absl::Duration life = Life(answer);
  const absl::StatusOr<std::string> issued_at = StringMember(answer, "issued_at");
  absl::Time issued;
  if (issued_at.ok() && absl::ParseTime(absl::RFC3339_full, *issued_at, &issued, /*err=*/nullptr)) {
    const absl::Duration age = received_at - issued;
    if (age > absl::ZeroDuration() && age < life) life -= age;
  }
  token.refresh_at = received_at + life - std::min(life / 10, kMaxMargin);
  return token;
}

}  // namespace sluice
