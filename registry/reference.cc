#include "registry/reference.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr size_t kMaxText = 1024;
constexpr size_t kMaxHost = 255 + 6;  // a name by RFC 1035, ":" and a port
constexpr size_t kMaxRepository = 255;
constexpr size_t kMaxTag = 128;

bool IsAlnum(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }
bool IsLowerAlnum(char c) { return IsAlnum(c) && !absl::ascii_isupper(static_cast<unsigned char>(c)); }

absl::Status Invalid(absl::string_view cause) { return absl::InvalidArgumentError(cause); }

// domain-component: letters, digits and inner dashes.
bool IsDomainComponent(absl::string_view text) {
  return !text.empty() && IsAlnum(text.front()) && IsAlnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsAlnum(c) || c == '-'; });
}

absl::Status CheckPort(absl::string_view port) {
  int number = 0;
  const bool digits = std::all_of(port.begin(), port.end(), [](char c) { return absl::ascii_isdigit(c); });
  if (!digits || !absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return Invalid(absl::StrCat("\"", port, "\" is not a port"));
  }
  return absl::OkStatus();
}

// "[" IPv6 "]" or a name or an IPv4 address, then maybe ":" port.
absl::Status CheckHost(absl::string_view host) {
  if (host.size() > kMaxHost) return Invalid("the host is longer than 261 characters");
  absl::string_view name = host;
  if (absl::StartsWith(host, "[")) {
    const size_t end = host.find(']');
    if (end == absl::string_view::npos || end < 3) return Invalid("the host's bracket is not closed");
    const absl::string_view address = host.substr(1, end - 1);
    if (!std::all_of(address.begin(), address.end(), [](char c) { return absl::ascii_isxdigit(c) || c == ':'; })) {
      return Invalid(absl::StrCat("\"", address, "\" is not an IPv6 address"));
    }
    const absl::string_view rest = host.substr(end + 1);
    if (rest.empty()) return absl::OkStatus();
    if (rest.front() != ':') return Invalid("after the host's bracket comes neither ':' nor '/'");
    return CheckPort(rest.substr(1));
  }
  if (const size_t colon = host.find(':'); colon != absl::string_view::npos) {
    RETURN_IF_ERROR(CheckPort(host.substr(colon + 1)));
    name = host.substr(0, colon);
  }
  for (const absl::string_view component : absl::StrSplit(name, '.')) {
    if (!IsDomainComponent(component)) return Invalid(absl::StrCat("\"", host, "\" is not a host name"));
  }
  return absl::OkStatus();
}

// path-component: runs of lower-case letters and digits, between them one '.', one or two '_', or any number of '-'.
bool IsPathComponent(absl::string_view text) {
  if (text.empty() || !IsLowerAlnum(text.front()) || !IsLowerAlnum(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    if (IsLowerAlnum(text[i])) {
      ++i;
      continue;
    }
    const char separator = text[i];
    size_t run = 0;
    while (i < text.size() && text[i] == separator) ++i, ++run;
    const size_t most = separator == '.' ? 1 : separator == '_' ? 2 : separator == '-' ? text.size() : 0;
    if (run > most || !IsLowerAlnum(text[i])) return false;
  }
  return true;
}

absl::Status CheckRepository(absl::string_view repository) {
  if (repository.empty()) return Invalid("the repository is missing");
  if (repository.size() > kMaxRepository) return Invalid("the repository is longer than 255 characters");
  for (const absl::string_view component : absl::StrSplit(repository, '/')) {
    if (IsPathComponent(component)) continue;
    if (IsPathComponent(absl::AsciiStrToLower(component))) return Invalid("the repository must be in lower case");
    return Invalid(absl::StrCat("\"", component, "\" cannot be part of a repository"));
  }
  return absl::OkStatus();
}

absl::Status CheckTag(absl::string_view tag) {
  const auto is_word = [](char c) { return IsAlnum(c) || c == '_'; };
  const bool valid = !tag.empty() && tag.size() <= kMaxTag && is_word(tag.front()) &&
                     std::all_of(tag.begin(), tag.end(), [&](char c) { return is_word(c) || c == '.' || c == '-'; });
  return valid ? absl::OkStatus() : Invalid(absl::StrCat("\"", tag, "\" is not a tag"));
}

// Docker's rule for "is the first component a host": it has a dot, a colon or an upper-case letter, or is localhost.
bool IsHostComponent(absl::string_view component) {
  return component == "localhost" || component.find_first_of(".:[") != absl::string_view::npos ||
         std::any_of(component.begin(), component.end(), [](char c) { return absl::ascii_isupper(c); });
}

absl::StatusOr<Reference> Parse(absl::string_view text) {
  Reference reference;
  if (text.empty()) return Invalid("it is empty");
  if (text.size() > kMaxText) return Invalid("it is longer than 1024 characters");
  if (!std::all_of(text.begin(), text.end(), absl::ascii_isgraph))
    return Invalid("it has a space or a control character");
  if (absl::StrContains(text, "://")) return Invalid("a reference has no scheme");
  // Docker refuses it too: it reads like a digest that lost its algorithm.
  if (Digest::ParseHex(text).ok()) return Invalid("a digest alone names no image");

  if (const size_t at = text.find('@'); at != absl::string_view::npos) {
    ASSIGN_OR_RETURN(reference.digest, Digest::Parse(text.substr(at + 1)));
    text = text.substr(0, at);
  }
  absl::string_view rest = text;
  const size_t slash = text.find('/');
  if (slash != absl::string_view::npos && IsHostComponent(text.substr(0, slash))) {
    reference.host = std::string(text.substr(0, slash));
    RETURN_IF_ERROR(CheckHost(reference.host));
    rest = text.substr(slash + 1);
  }
  if (reference.host.empty() || reference.host == "index.docker.io") reference.host = "docker.io";

  if (const size_t colon = rest.rfind(':'); colon != absl::string_view::npos) {
    reference.tag = std::string(rest.substr(colon + 1));
    RETURN_IF_ERROR(CheckTag(reference.tag));
    rest = rest.substr(0, colon);
  } else if (!reference.digest.has_value()) {
    reference.tag = "latest";
  }
  const bool official = reference.host == "docker.io" && !rest.empty() && !absl::StrContains(rest, '/');
  reference.repository = official ? absl::StrCat("library/", rest) : std::string(rest);
  RETURN_IF_ERROR(CheckRepository(reference.repository));
  return reference;
}

}  // namespace

std::string Reference::ToString() const {
  std::string text = absl::StrCat(host, "/", repository);
  if (!tag.empty()) absl::StrAppend(&text, ":", tag);
  if (digest.has_value()) absl::StrAppend(&text, "@", digest->ToString());
  return text;
}

absl::StatusOr<Reference> ParseReference(absl::string_view text) {
  absl::StatusOr<Reference> reference = Parse(text);
  if (reference.ok()) return reference;
  return Annotate(reference.status(), absl::StrCat("reference \"", absl::CHexEscape(text.substr(0, 128)), "\""));
}

bool IsRepository(absl::string_view text) { return CheckRepository(text).ok(); }

bool IsTag(absl::string_view text) { return CheckTag(text).ok(); }

}  // namespace sluice
