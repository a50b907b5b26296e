#include "registry/client/host_url.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

bool IsDigits(absl::string_view text) { return std::all_of(text.begin(), text.end(), absl::ascii_isdigit); }

// RFC 3986 pchar without '%', and '/'.
bool IsPathCharacter(char c) { return absl::ascii_isalnum(c) || absl::StrContains("-._~!$&'()*+,;=:@/", c); }

// net/url lets these and everything outside of ASCII pass in a host.
bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(c) || static_cast<unsigned char>(c) >= 0x80 ||
         absl::StrContains("-._~!$&'()*+,;=:[]<>\"", c);
}

// "https" of "HTTPS://a", the rest to `rest`; "" if `text` does not begin with a scheme.
std::string TakeScheme(absl::string_view text, absl::string_view& rest) {
  rest = text;
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos || colon == 0 || !absl::ascii_isalpha(text.front())) return "";
  const absl::string_view scheme = text.substr(0, colon);
  const bool valid = std::all_of(scheme.begin(), scheme.end(),
                                 [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("+-.", c); });
  if (!valid) return "";
  rest = text.substr(colon + 1);
  return absl::AsciiStrToLower(scheme);
}

absl::Status CheckHost(absl::string_view host) {
  if (!std::all_of(host.begin(), host.end(), IsHostCharacter)) {
    return absl::InvalidArgumentError("invalid character in the host name");
  }
  absl::string_view port;
  if (absl::StartsWith(host, "[")) {
    const size_t end = host.rfind(']');
    if (end == absl::string_view::npos) return absl::InvalidArgumentError("the host's bracket is not closed");
    port = host.substr(end + 1);
  } else if (const size_t colon = host.rfind(':'); colon != absl::string_view::npos) {
    port = host.substr(colon);
  }
  if (port.empty() || (absl::ConsumePrefix(&port, ":") && IsDigits(port))) return absl::OkStatus();
  return absl::InvalidArgumentError("invalid port after the host");
}

absl::StatusOr<std::string> PercentDecode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const absl::string_view digits = text.substr(i + 1, 2);
    if (digits.size() != 2 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit)) {
      return absl::InvalidArgumentError("invalid percent-encoding");
    }
    decoded += absl::HexStringToBytes(digits);
    i += 2;
  }
  return decoded;
}

std::string PercentEncode(absl::string_view path) {
  std::string encoded;
  for (const char c : path) {
    if (IsPathCharacter(c)) {
      encoded += c;
    } else {
      absl::StrAppend(&encoded, "%", absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(&c, 1))));
    }
  }
  return encoded;
}

// Without empty, "." and ".." components: "/a/b", "" for the root.
std::string CleanPath(absl::string_view path) {
  std::vector<absl::string_view> components;
  for (const absl::string_view component : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (component == "..") {
      if (!components.empty()) components.pop_back();
    } else if (component != ".") {
      components.push_back(component);
    }
  }
  return components.empty() ? "" : absl::StrCat("/", absl::StrJoin(components, "/"));
}

}  // namespace

bool HostUrl::Usable() const {
  int port = 0;
  const absl::string_view digits = PortOf(host);
  return (scheme == "https" || scheme == "http") && !host.empty() &&
         (digits.empty() || (absl::SimpleAtoi(digits, &port) && port <= 65535));
}

std::string HostUrl::ToString() const { return absl::StrCat(scheme, "://", host, path); }

absl::StatusOr<HostUrl> ParseHostUrl(absl::string_view text, bool override_path) {
  const std::string whole = absl::StrCat(absl::StartsWith(text, "http") ? "" : "https://", text);
  if (std::any_of(whole.begin(), whole.end(), absl::ascii_iscntrl)) {
    return absl::InvalidArgumentError("control character in a URL");
  }
  const absl::string_view asked = absl::string_view(whole).substr(0, whole.find_first_of("#?"));
  HostUrl url;
  absl::string_view rest;
  url.scheme = TakeScheme(asked, rest);
  if (!absl::ConsumePrefix(&rest, "//")) return url;

  const size_t authority_end = std::min(rest.find('/'), rest.size());
  absl::string_view authority = rest.substr(0, authority_end);
  if (const size_t at = authority.rfind('@'); at != absl::string_view::npos) authority.remove_prefix(at + 1);
  RETURN_IF_ERROR(CheckHost(authority));
  url.host = std::string(absl::StripSuffix(authority, ":"));

  ASSIGN_OR_RETURN(const std::string decoded, PercentDecode(rest.substr(authority_end)));
  std::string path = CleanPath(decoded);
  if (!override_path && !absl::EndsWith(path, "/v2")) path += "/v2";
  url.path = PercentEncode(path);
  return url;
}

absl::string_view PortOf(absl::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos) return "";
  // Two colons without brackets are no port, nor is the colon inside of the brackets one.
  const absl::string_view name = host.substr(0, colon);
  const bool bracketed = absl::StartsWith(name, "[") && absl::EndsWith(name, "]");
  return bracketed || !absl::StrContains(name, ':') ? host.substr(colon + 1) : "";
}

}  // namespace sluice
