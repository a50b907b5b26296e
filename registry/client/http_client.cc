#include "registry/client/http_client.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "registry/client/retry_policy.h"
#include "registry/ip_address.h"
#include "registry/json.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// What is read of an error's body, and of one that nobody wants, for the sake of the connection.
constexpr size_t kMaxErrorBody = 8 * 1024;
constexpr milliseconds kMaxErrorTime(5000);
constexpr milliseconds kDrainTime(100);

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool IsTemporary(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

absl::StatusCode CodeOf(int status) {
  if (status == 401) return absl::StatusCode::kUnauthenticated;
  if (status == 403) return absl::StatusCode::kPermissionDenied;
  if (status == 404 || status == 410) return absl::StatusCode::kNotFound;
  if (IsTemporary(status) || status >= 500) return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kFailedPrecondition;
}

// The registry's own words, "" when it has none.
std::string ErrorText(HttpStream& stream) {
  std::string body;
  stream.Drain(kMaxErrorBody, kMaxErrorTime, &body);
  const absl::StatusOr<Json> json = ParseJsonObject(body);
  if (!json.ok()) return "";
  const absl::StatusOr<const Json*> errors = ArrayMember(*json, "errors");
  if (!errors.ok() || *errors == nullptr || (*errors)->empty() || !(*errors)->front().is_object()) return "";
  const absl::StatusOr<std::string> message = StringMember((*errors)->front(), "message");
  return message.ok() ? *message : "";
}

}  // namespace

absl::Status CheckStep(const Url& from, bool from_internal, const Url& to) {
  absl::string_view cause;
  const absl::string_view bare = absl::StripSuffix(absl::StripPrefix(to.host, "["), "]");
  const std::optional<IpAddress> address = IpAddress::Parse(bare);
  if (from.scheme == "https" && to.scheme == "http") {
    cause = "from https to http";
  } else if (IsMetadataAddress(to.host)) {
    cause = "to the cloud's metadata service";
  } else if (!from_internal && address.has_value() && address->IsInternal()) {
    cause = "from a public address to an internal one";
  } else {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(cause, ": ", to.ForMessages()));
}

absl::Status StatusError(HttpStream& stream, absl::Time now, absl::Span<const std::string> secrets) {
  const int status = stream.status();
  std::string text = absl::StrCat("GET ", stream.url().ForMessages(), ": HTTP status ", status);
  const std::string reason = ErrorText(stream);
  const bool repeats = std::any_of(secrets.begin(), secrets.end(), [&reason](const std::string& secret) {
    return !secret.empty() && absl::StrContains(reason, secret);
  });
  if (!reason.empty() && !repeats) {
    absl::StrAppend(&text, ": ", absl::StripSuffix(absl::CHexEscape(absl::string_view(reason).substr(0, 200)), "."));
  }
  const absl::Status error(CodeOf(status), text);
  return IsTemporary(status) ? MarkTransient(error, ParseRetryAfter(stream.head().Last("retry-after"), now)) : error;
}

HttpClient::HttpClient(LocalityRules rules, const HttpClientOptions& options)
    : rules_(std::move(rules)),
      options_(options),
      pool_(std::make_shared<ConnectionPool>(std::max(options.max_connections, 1))) {}

absl::StatusOr<std::unique_ptr<HttpStream>> HttpClient::Send(HttpRequest request,
                                                             const Cancellation* cancellation) const {
  request.stall_timeout = options_.stall_timeout;
  request.headers.push_back("Accept-Encoding: identity");
  const std::string first = request.url.ForMessages();
  for (int hop = 0;; ++hop) {
    request.use_proxy = rules_.Classify(request.url.Authority()) != Locality::kLocal;
    ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream, HttpStream::Open(request, pool_, cancellation));
    if (!IsRedirect(stream->status()) || request.form.has_value()) return stream;
    if (hop == options_.max_redirects) {
      return absl::UnavailableError(absl::StrCat("GET ", first, ": more than ", hop, " redirects"));
    }
    const std::string location = stream->head().Last("location");
    if (location.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("GET ", request.url.ForMessages(), ": HTTP status ", stream->status(), " without a Location"));
    }
    absl::StatusOr<Url> next = ResolveUrl(request.url, location);
    const bool internal = stream->PeerIsInternal();
    const absl::Status allowed = next.ok() ? CheckStep(request.url, internal, *next) : next.status();
    if (!allowed.ok()) {
      return Annotate(allowed, absl::StrCat("GET ", request.url.ForMessages(), ": redirected"));
    }
    if (next->origin != request.url.origin) {
      // Whoever we go to next may be anybody.
      request.secret_headers.clear();
      request.tls.verify = true;
      request.tls.certificate_file.clear();
    }
    // A chain that has been outside never comes back inside.
    if (!internal) request.reach = AddressReach::kPublicOnly;
    request.url = *std::move(next);
    stream->Drain(kMaxErrorBody, kDrainTime);
  }
}

absl::StatusOr<std::string> HttpClient::ReadDocument(HttpStream& stream, int64_t max_bytes) const {
  const absl::Status too_large = absl::InvalidArgumentError(absl::StrCat("larger than ", max_bytes, " bytes"));
  if (stream.ContentLength().value_or(0) > max_bytes) return too_large;
  const auto deadline = std::chrono::steady_clock::now() + options_.document_timeout;
  std::string body;
  std::vector<char> buffer(64 * 1024);
  while (true) {
    ASSIGN_OR_RETURN(const size_t count, stream.Read(absl::MakeSpan(buffer)));
    if (count == 0) return body;
    body.append(buffer.data(), count);
    if (body.size() > static_cast<size_t>(max_bytes)) return too_large;
    if (std::chrono::steady_clock::now() > deadline) return absl::UnavailableError("the answer takes too long");
  }
}

}  // namespace sluice
