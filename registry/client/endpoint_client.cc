#include "registry/client/endpoint_client.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/client/http_obstacle.h"
#include "registry/client/retry_policy.h"

namespace sluice {
namespace {

constexpr size_t kMaxUnread = 8 * 1024;
constexpr std::chrono::milliseconds kDrainTime(100);

bool HasPort(const Url& url) {
  return absl::EndsWithIgnoreCase(url.text.substr(0, url.text.find("/v2")), url.Authority());
}

// Could another scheme help? `known`: this one has worked before, so that what may just be bad luck is taken for it.
bool IsUnspoken(const absl::Status& status, const Url& url, bool known) {
  switch (ObstacleOf(status)) {
    case HttpObstacle::kNotTls:
    case HttpObstacle::kNotHttp:
      return true;
    case HttpObstacle::kNoAnswer:
      return !known && url.scheme == "http";
    // 443 may be closed where 80 is open; with a port written there is no other.
    case HttpObstacle::kRefused:
      return !HasPort(url);
    default:
      return false;
  }
}

std::vector<std::string> SecretHeaders(const RegistryEndpoint& endpoint, const Authorization& authorization) {
  std::vector<std::string> headers;
  for (const std::string& header : endpoint.headers) {
    if (authorization.header.empty() || !absl::StartsWithIgnoreCase(header, "authorization:")) {
      headers.push_back(header);
    }
  }
  if (!authorization.header.empty()) headers.push_back(authorization.header);
  return headers;
}

std::vector<std::string> SecretsOf(const RegistryEndpoint& endpoint, const Authorization& authorization) {
  std::vector<std::string> secrets = authorization.secrets;
  for (const std::string& header : endpoint.headers) secrets.push_back(header.substr(header.find(": ") + 2));
  return secrets;
}

}  // namespace

EndpointClient::EndpointClient(std::shared_ptr<const HttpClient> http,
                               std::shared_ptr<const CredentialSource> credentials,
                               std::shared_ptr<const RetryClock> clock)
    : http_(http), clock_(clock), authorizer_(std::move(credentials), http, clock) {}

absl::StatusOr<std::unique_ptr<HttpStream>> EndpointClient::Get(const EndpointSchemes& schemes,
                                                                absl::string_view repository, absl::string_view path,
                                                                const std::vector<std::string>& headers,
                                                                const Cancellation* cancellation) {
  const std::string& key = schemes.front().base.text;
  std::optional<size_t> known;
  {
    MutexLock lock(mutex_);
    const auto found = spoken_.find(key);
    if (found != spoken_.end() && found->second < schemes.size()) known = found->second;
  }
  absl::StatusOr<std::unique_ptr<HttpStream>> first;
  for (size_t i = 0; i < schemes.size(); ++i) {
    const size_t which = (known.value_or(0) + i) % schemes.size();
    const RegistryEndpoint& endpoint = schemes[which];
    absl::StatusOr<std::unique_ptr<HttpStream>> answer = GetFrom(endpoint, repository, path, headers, cancellation);
    // How TLS servers answer a plain request. The other way round it would be a downgrade.
    const bool declined = endpoint.base.scheme == "http" && i + 1 < schemes.size() &&
                          absl::IsFailedPrecondition(answer.status()) && !IsRedirected(answer.status());
    if (!IsNetworkError(answer.status()) && !declined) {
      MutexLock lock(mutex_);
      spoken_[key] = which;
      return answer;
    }
    const bool unspoken = declined || IsUnspoken(answer.status(), endpoint.base, known == which);
    // The usual scheme's error says more than the exceptional one's; but where no TLS is spoken, the other one's
    // decides whether it is worth asking again.
    if (i == 0) {
      first = std::move(answer);
    } else if (ObstacleOf(first.status()) == HttpObstacle::kNotTls) {
      first = Annotate(answer.status(), first.status().message());
    }
    if (!unspoken) break;
  }
  return first;
}

absl::StatusOr<std::unique_ptr<HttpStream>> EndpointClient::GetFrom(const RegistryEndpoint& endpoint,
                                                                    absl::string_view repository,
                                                                    absl::string_view path,
                                                                    const std::vector<std::string>& headers,
                                                                    const Cancellation* cancellation) {
  HttpRequest request;
  ASSIGN_OR_RETURN(request.url, ParseUrl(absl::StrCat(endpoint.base.text, "/", repository, "/", path, endpoint.query)));
  request.headers = headers;
  request.tls = endpoint.tls;
  request.connect_timeout = endpoint.connect_timeout;
  const std::string what = absl::StrCat("GET ", request.url.ForMessages());

  absl::StatusOr<Authorization> authorization = authorizer_.Known(endpoint, repository, cancellation);
  if (!authorization.ok()) return Annotate(authorization.status(), what);
  for (bool answered = false;; answered = true) {
    request.secret_headers = SecretHeaders(endpoint, *authorization);
    ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream, http_->Send(request, cancellation));
    const int status = stream->status();
    if (status == 200 || status == 206 || status == 416) return stream;
    // Only the registry's own challenges are answered, not those of whoever it has redirected us to.
    const bool redirected = stream->url().origin != request.url.origin;
    if (status != 401 || redirected || answered) {
      const absl::Status error = StatusError(*stream, clock_->Now(), SecretsOf(endpoint, *authorization));
      if (redirected) return MarkRedirected(error);
      if (status != 401 || authorization->remedy.empty()) return error;
      return absl::Status(error.code(), absl::StrCat(error.message(), ": ", authorization->remedy));
    }
    const AuthorizationRefusal refusal = {stream->head().All("www-authenticate"), stream->PeerIsInternal()};
    stream->Drain(kMaxUnread, kDrainTime);
    stream.reset();
    authorization = authorizer_.Answer(endpoint, repository, refusal, *authorization, cancellation);
    if (!authorization.ok()) return Annotate(authorization.status(), absl::StrCat(what, ": HTTP status 401"));
  }
}

}  // namespace sluice
