#include "registry/host_patterns.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "registry/ip_address.h"

namespace sluice {

struct HostPatterns::Pattern {
  HostPort host;               // exact name or address; its port, when written, must be the same
  std::string suffix;          // ".internal" for "*.internal"; then host.name is empty
  std::optional<int> network;  // bits of a CIDR around host.address, in the IPv6 form

  bool Matches(const HostPort& other) const {
    if (!host.port.empty() && host.port != other.port) return false;
    if (network.has_value()) return other.address.has_value() && other.address->InNetwork(*host.address, *network);
    if (!suffix.empty()) {
      return !other.address.has_value() && other.name.size() > suffix.size() && absl::EndsWith(other.name, suffix);
    }
    if (host.address.has_value()) return host.address == other.address;
    return host.name == other.name;
  }
};

absl::StatusOr<std::shared_ptr<const HostPatterns::Pattern>> HostPatterns::Parse(absl::string_view entry) {
  const absl::Status malformed =
      absl::InvalidArgumentError("not of the form host, host:port, *.suffix or address/bits");
  auto pattern = std::make_shared<Pattern>();
  if (const size_t slash = entry.find('/'); slash != absl::string_view::npos) {
    int bits = 0;
    pattern->host.address = IpAddress::Parse(entry.substr(0, slash));
    if (!pattern->host.address.has_value()) return absl::InvalidArgumentError("before the '/' stands no IP address");
    const bool v4 = !absl::StrContains(entry.substr(0, slash), ':');
    if (!absl::SimpleAtoi(entry.substr(slash + 1), &bits) || bits < 0 || bits > (v4 ? 32 : 128)) {
      return absl::InvalidArgumentError("after the '/' stands no prefix length");
    }
    pattern->network = v4 ? bits + 96 : bits;
    return pattern;
  }
  const bool wildcard = absl::ConsumePrefix(&entry, "*");
  if (wildcard && (entry.size() < 2 || entry[0] != '.')) {
    return absl::InvalidArgumentError("after the '*' comes no '.' and name");
  }
  if (entry.empty() || entry.find_first_of("*@ \t%") != absl::string_view::npos) return malformed;
  pattern->host = SplitHostPort(entry);
  const bool is_name = pattern->host.name.find_first_of("[]:") == std::string::npos && !pattern->host.name.empty();
  if (!is_name && !pattern->host.address.has_value()) return malformed;
  if (wildcard) pattern->suffix = std::move(pattern->host.name);
  return pattern;
}

absl::StatusOr<HostPatterns> HostPatterns::Create(absl::Span<const std::string> entries) {
  HostPatterns patterns;
  for (const std::string& entry : entries) {
    absl::StatusOr<std::shared_ptr<const Pattern>> pattern = Parse(entry);
    if (!pattern.ok()) return Annotate(pattern.status(), absl::StrCat("registry \"", absl::CHexEscape(entry), "\""));
    patterns.patterns_.push_back(*std::move(pattern));
  }
  return patterns;
}

bool HostPatterns::Match(const HostPort& host) const {
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&host](const std::shared_ptr<const Pattern>& pattern) { return pattern->Matches(host); });
}

}  // namespace sluice
