#include "registry/client/token_client.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "registry/client/form_encoding.h"
#include "registry/client/retry_policy.h"

namespace sluice {
namespace {

constexpr int64_t kMaxTokenAnswer = 256 * 1024;
constexpr size_t kMaxUnread = 8 * 1024;
constexpr std::chrono::milliseconds kDrainTime(100);

std::string Parameter(const Challenge& challenge, const char* name) {
  const auto found = challenge.parameters.find(name);
  return found == challenge.parameters.end() ? "" : found->second;
}

// Sorted and each once, as containerd asks: several requests for one thing then look the same to a cache in between.
std::vector<std::string> Scopes(const TokenRequest& request) {
  std::set<std::string> scopes = absl::StrSplit(Parameter(request.challenge, "scope"), ' ', absl::SkipEmpty());
  scopes.insert(request.scope);
  return {scopes.begin(), scopes.end()};
}

absl::Status CheckRealm(const RegistryEndpoint& endpoint, const TokenRequest& request, const Url& realm,
                        bool has_credentials) {
  RETURN_IF_ERROR(CheckStep(endpoint.base, request.registry_is_internal, realm));
  if (has_credentials && realm.scheme == "http" && realm.host != endpoint.base.host) {
    return absl::PermissionDeniedError(
        absl::StrCat("over plain http credentials are not sent to another host: ", realm.ForMessages()));
  }
  return absl::OkStatus();
}

HttpRequest RequestTo(const Url& realm, const RegistryEndpoint& endpoint, bool registry_is_internal) {
  HttpRequest request;
  request.url = realm;
  request.connect_timeout = endpoint.connect_timeout;
  request.tls.extra_ca_pem = endpoint.tls.extra_ca_pem;
  request.reach = registry_is_internal ? AddressReach::kNotLinkLocal : AddressReach::kPublicOnly;
  if (realm.host == endpoint.base.host) {
    request.tls = endpoint.tls;
    request.reach = AddressReach::kAnywhere;
  }
  return request;
}

HttpRequest AsPost(HttpRequest request, const std::string& service, const std::vector<std::string>& scopes,
                   const Credentials& credentials) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (credentials.identity_token.empty()) {
    fields = {{"grant_type", "password"}, {"username", credentials.username}, {"password", credentials.password}};
  } else {
    fields = {{"grant_type", "refresh_token"}, {"refresh_token", credentials.identity_token}};
  }
  fields.emplace_back("client_id", "sluice");
  fields.emplace_back("access_type", "online");
  fields.emplace_back("service", service);
  fields.emplace_back("scope", absl::StrJoin(scopes, " "));
  request.form = FormEncode(fields);
  return request;
}

absl::StatusOr<HttpRequest> AsGet(HttpRequest request, const std::string& service,
                                  const std::vector<std::string>& scopes, const Credentials* credentials) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (!service.empty()) fields.emplace_back("service", service);
  for (const std::string& scope : scopes) fields.emplace_back("scope", scope);
  const char* separator = absl::StrContains(request.url.text, '?') ? "&" : "?";
  ASSIGN_OR_RETURN(request.url, ParseUrl(absl::StrCat(request.url.text, separator, FormEncode(fields))));
  if (credentials != nullptr) {
    const std::string pair = credentials->password.empty()
                                 ? absl::StrCat(":", credentials->identity_token)
                                 : absl::StrCat(credentials->username, ":", credentials->password);
    request.secret_headers.push_back(absl::StrCat("Authorization: Basic ", absl::Base64Escape(pair)));
  }
  return request;
}

// Token servers that know no POST: 400 ACR, 401 Artifactory, 404 GCR; 403 and 405 those behind a gateway.
bool KnowsNoPost(int status) {
  return status == 400 || status == 401 || status == 403 || status == 404 || status == 405 || status / 100 == 3;
}

}  // namespace

TokenClient::TokenClient(std::shared_ptr<const HttpClient> http, std::shared_ptr<const RetryClock> clock)
    : http_(std::move(http)), clock_(std::move(clock)) {}

absl::StatusOr<BearerToken> TokenClient::Fetch(const RegistryEndpoint& endpoint, const TokenRequest& request,
                                               const Credentials* credentials, const Cancellation* cancellation) const {
  absl::StatusOr<Url> realm = ParseUrl(Parameter(request.challenge, "realm"));
  const absl::Status allowed =
      realm.ok() ? CheckRealm(endpoint, request, *realm, credentials != nullptr) : realm.status();
  if (!allowed.ok()) return Annotate(allowed, "token server");

  const std::string service = Parameter(request.challenge, "service");
  const std::vector<std::string> scopes = Scopes(request);
  const HttpRequest plain = RequestTo(*realm, endpoint, request.registry_is_internal);
  if (credentials != nullptr) {
    ASSIGN_OR_RETURN(const std::unique_ptr<HttpStream> stream,
                     http_->Send(AsPost(plain, service, scopes, *credentials), cancellation));
    if (!KnowsNoPost(stream->status())) return Read(*stream);
    stream->Drain(kMaxUnread, kDrainTime);
  }
  ASSIGN_OR_RETURN(const HttpRequest get, AsGet(plain, service, scopes, credentials));
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpStream> stream, http_->Send(get, cancellation));
  return Read(*stream);
}

absl::StatusOr<BearerToken> TokenClient::Read(HttpStream& stream) const {
  const std::string what = absl::StrCat("token server ", stream.url().ForMessages());
  const int status = stream.status();
  if (status == 200) {
    absl::StatusOr<std::string> answer = http_->ReadDocument(stream, kMaxTokenAnswer);
    if (!answer.ok()) return Annotate(answer.status(), what);
    absl::StatusOr<BearerToken> token = ParseTokenAnswer(*answer, clock_->Now());
    if (!token.ok()) return Annotate(token.status(), what);
    return token;
  }
  const std::string text = absl::StrCat(what, ": HTTP status ", status);
  if (status == 408 || status == 429 || status >= 500) {
    return MarkTransient(absl::UnavailableError(text),
                         ParseRetryAfter(stream.head().Last("retry-after"), clock_->Now()));
  }
  return absl::UnauthenticatedError(text);
}

}  // namespace sluice
