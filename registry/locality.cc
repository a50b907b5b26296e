#include "registry/locality.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "registry/ip_address.h"

namespace sluice {
namespace {

// A host with its port split off; `name` in lower case, without brackets.
struct HostPort {
  std::string name;
  std::string port;  // "" when none is written
  std::optional<IpAddress> address;
};

bool IsPort(absl::string_view text) {
  int port = 0;
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) && absl::SimpleAtoi(text, &port) &&
         port >= 1 && port <= 65535;
}

// What is not of the form host[:port] comes back whole as a name, which then equals no rule's and is no address:
// "10.0.0.1:5000@evil.example" must not be taken for 10.0.0.1.
HostPort SplitHost(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  const HostPort unsplit = {lower, "", std::nullopt};
  absl::string_view host = lower;
  absl::string_view port;
  const bool bracketed = absl::ConsumePrefix(&host, "[");
  // Two colons without brackets: an IPv6 address as containerd's source labels have it, without a port.
  const size_t end = bracketed ? host.find(']') : host.find(':') == host.rfind(':') ? host.find(':') : host.npos;
  if (bracketed && end == host.npos) return unsplit;
  if (end != host.npos) {
    port = host.substr(bracketed ? end + 1 : end);
    host = host.substr(0, end);
    if (!port.empty() && (!absl::ConsumePrefix(&port, ":") || !IsPort(port))) return unsplit;
  }
  HostPort split = {std::string(host), std::string(port), IpAddress::Parse(host)};
  if (bracketed && (!split.address.has_value() || !absl::StrContains(host, ':'))) return unsplit;
  return split;
}

bool IsLocalByItself(const HostPort& host) {
  if (host.name == "localhost") return true;
  return host.address.has_value() && (host.address->IsLoopback() || host.address->IsPrivate());
}

}  // namespace

// One entry of local_registries.
struct LocalityRules::Rule {
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

absl::StatusOr<LocalityRules> LocalityRules::Create(absl::Span<const std::string> local_registries) {
  LocalityRules rules;
  for (const std::string& entry : local_registries) {
    const auto invalid = [&entry](absl::string_view cause) {
      return absl::InvalidArgumentError(absl::StrCat("local registry \"", absl::CHexEscape(entry), "\": ", cause));
    };
    auto rule = std::make_shared<Rule>();
    absl::string_view text = entry;
    if (const size_t slash = text.find('/'); slash != absl::string_view::npos) {
      int bits = 0;
      rule->host.address = IpAddress::Parse(text.substr(0, slash));
      if (!rule->host.address.has_value()) return invalid("before the '/' stands no IP address");
      const bool v4 = !absl::StrContains(text.substr(0, slash), ':');
      if (!absl::SimpleAtoi(text.substr(slash + 1), &bits) || bits < 0 || bits > (v4 ? 32 : 128)) {
        return invalid("after the '/' stands no prefix length");
      }
      rule->network = v4 ? bits + 96 : bits;
      rules.rules_.push_back(std::move(rule));
      continue;
    }
    const bool wildcard = absl::ConsumePrefix(&text, "*");
    if (wildcard && (text.size() < 2 || text[0] != '.')) return invalid("after the '*' comes no '.' and name");
    if (text.empty() || text.find_first_of("*@ \t%") != absl::string_view::npos) {
      return invalid("not of the form host, host:port, *.suffix or address/bits");
    }
    rule->host = SplitHost(text);
    const bool is_name = rule->host.name.find_first_of("[]:") == std::string::npos && !rule->host.name.empty();
    if (!is_name && !rule->host.address.has_value()) {
      return invalid("not of the form host, host:port, *.suffix or address/bits");
    }
    if (wildcard) rule->suffix = std::move(rule->host.name);
    rules.rules_.push_back(std::move(rule));
  }
  return rules;
}

Locality LocalityRules::Classify(absl::string_view host) const {
  if (host.empty()) return Locality::kUnknown;
  return IsLocalByItself(SplitHost(host)) || Lists(host) ? Locality::kLocal : Locality::kRemote;
}

bool LocalityRules::Lists(absl::string_view host) const {
  const HostPort split = SplitHost(host);
  return std::any_of(rules_.begin(), rules_.end(), [&split](const auto& rule) { return rule->Matches(split); });
}

bool IsLoopbackHost(absl::string_view host) {
  const HostPort split = SplitHost(host);
  return split.name == "localhost" || (split.address.has_value() && split.address->IsLoopback());
}

bool IsMetadataAddress(absl::string_view host) {
  HostPort split = SplitHost(host);
  if (split.address.has_value()) return split.address->IsMetadata();
  std::string name = split.name;
  while (!name.empty() && name.back() == '.') name.pop_back();
  if (const size_t zone = name.find('%'); zone != std::string::npos) name.resize(zone);
  if (const std::optional<IpAddress> address = IpAddress::Parse(name)) return address->IsMetadata();
  // What a resolver still takes for an address: decimal, octal, hexadecimal and short forms.
  in_addr loose = {};
  if (inet_aton(name.c_str(), &loose) == 0) return false;
  std::array<uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &loose, sizeof(loose));
  return IpAddress::FromV4(bytes).IsMetadata();
}

}  // namespace sluice
