#include "registry/host_port.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

bool IsPort(absl::string_view text) {
  int port = 0;
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) && absl::SimpleAtoi(text, &port) &&
         port >= 1 && port <= 65535;
}

}  // namespace

HostPort SplitHostPort(absl::string_view text) {
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

}  // namespace sluice
