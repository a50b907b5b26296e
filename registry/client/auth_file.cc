#include "registry/client/auth_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "registry/client/credential_helper.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr char kDockerHubServer[] = "https://index.docker.io/v1/";

// The names of a host in keys, without a scheme.
std::vector<std::string> NamesOf(absl::string_view host) {
  if (host == "docker.io") return {"docker.io", "index.docker.io", "registry-1.docker.io"};
  return {std::string(host)};
}

// "reg.lan:5000" for "https://reg.lan:5000/v1/"; unset if `key` has no scheme.
std::optional<std::string> HostOfUrl(absl::string_view key) {
  if (!absl::ConsumePrefix(&key, "https://") && !absl::ConsumePrefix(&key, "http://")) return std::nullopt;
  return std::string(key.substr(0, key.find('/')));
}

absl::StatusOr<std::string> HelperName(std::string name, const char* member) {
  if (name.empty() || IsCredentialHelperName(name)) return name;
  return absl::InvalidArgumentError(absl::StrCat("\"", member, "\" has what is not the name of a credential helper"));
}

// Sets the helper of `answer`; leaves it alone if passwords are in the file. "" in credHelpers keeps credsStore away.
absl::Status FindHelper(const Json& file, absl::string_view host, AuthFileAnswer& answer) {
  ASSIGN_OR_RETURN(const Json* helpers, ObjectMember(file, "credHelpers"));
  std::vector<std::string> keys = NamesOf(host);
  if (host == "docker.io") keys.insert(keys.begin(), kDockerHubServer);
  for (const std::string& key : keys) {
    if (helpers == nullptr || !helpers->contains(key)) continue;
    ASSIGN_OR_RETURN(std::string name, StringMember(*helpers, key.c_str()));
    ASSIGN_OR_RETURN(answer.helper, HelperName(std::move(name), "credHelpers"));
    answer.helper_server = key;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::string name, StringMember(file, "credsStore"));
  ASSIGN_OR_RETURN(answer.helper, HelperName(std::move(name), "credsStore"));
  answer.helper_server = keys.front();
  return absl::OkStatus();
}

// `auth` is "user:password" in base64, and wins over the two members (Docker's configfile/file.go).
absl::Status ReadUser(const Json& entry, Credentials& credentials) {
  ASSIGN_OR_RETURN(const std::string auth, StringMember(entry, "auth"));
  ASSIGN_OR_RETURN(credentials.username, StringMember(entry, "username"));
  ASSIGN_OR_RETURN(credentials.password, StringMember(entry, "password"));
  if (auth.empty()) return absl::OkStatus();
  std::string decoded;
  if (!absl::Base64Unescape(auth, &decoded)) return absl::InvalidArgumentError("\"auth\" is not base64");
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos || colon == 0) return absl::InvalidArgumentError("\"auth\" is not user:password");
  credentials.username = decoded.substr(0, colon);
  absl::string_view password = absl::string_view(decoded).substr(colon + 1);
  while (absl::ConsumePrefix(&password, absl::string_view("\0", 1))) {
  }
  while (absl::ConsumeSuffix(&password, absl::string_view("\0", 1))) {
  }
  credentials.password = std::string(password);
  return absl::OkStatus();
}

// Unset for an entry that says nothing.
absl::StatusOr<std::optional<Credentials>> ReadEntry(const Json& entry) {
  if (entry.is_null()) return std::nullopt;
  if (!entry.is_object()) return absl::InvalidArgumentError("not an object");
  Credentials credentials;
  RETURN_IF_ERROR(ReadUser(entry, credentials));
  ASSIGN_OR_RETURN(credentials.identity_token, StringMember(entry, "identitytoken"));
  ASSIGN_OR_RETURN(credentials.registry_token, StringMember(entry, "registrytoken"));
  const bool empty = credentials.username.empty() && credentials.password.empty() &&
                     credentials.identity_token.empty() && credentials.registry_token.empty();
  if (empty) return std::nullopt;
  return credentials;
}

// The keys of `auths` that are for this repository, best first.
std::vector<std::string> MatchingKeys(const Json& auths, absl::string_view host, absl::string_view repository) {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& key) {
    if (auths.contains(key)) keys.push_back(key);
  };
  // Containers' tools, which alone have keys with a path, call Docker Hub docker.io there.
  for (absl::string_view path = repository; !path.empty();) {
    add(absl::StrCat(host, "/", path));
    const size_t slash = path.rfind('/');
    path = slash == absl::string_view::npos ? "" : path.substr(0, slash);
  }
  const std::vector<std::string> names = NamesOf(host);
  for (const std::string& name : names) add(name);
  for (const auto& entry : auths.items()) {
    const std::optional<std::string> name = HostOfUrl(entry.key());
    if (name.has_value() && std::count(names.begin(), names.end(), *name) > 0) keys.push_back(entry.key());
  }
  return keys;
}

}  // namespace

absl::StatusOr<AuthFileAnswer> LookUpAuthFile(absl::string_view text, absl::string_view host,
                                              absl::string_view repository) {
  AuthFileAnswer answer;
  if (text.empty()) return answer;
  ASSIGN_OR_RETURN(const Json file, ParseJsonObject(text));
  RETURN_IF_ERROR(FindHelper(file, host, answer));
  if (!answer.helper.empty()) return answer;
  ASSIGN_OR_RETURN(const Json* auths, ObjectMember(file, "auths"));
  if (auths == nullptr) return answer;
  for (const std::string& key : MatchingKeys(*auths, host, repository)) {
    absl::StatusOr<std::optional<Credentials>> credentials = ReadEntry((*auths)[key]);
    if (!credentials.ok()) return Annotate(credentials.status(), absl::StrCat("an entry of \"auths\" for ", host));
    if (!credentials->has_value()) continue;
    answer.credentials = *std::move(credentials);
    return answer;
  }
  return answer;
}

}  // namespace sluice
