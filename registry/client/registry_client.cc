#include "registry/client/registry_client.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "registry/ip_address.h"
#include "registry/json.h"
#include "registry/manifest.h"

namespace sluice {
namespace {

constexpr char kAcceptManifests[] =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, "
    "*/*;q=0.1";

// What is read of an error's body.
constexpr size_t kMaxErrorBody = 8 * 1024;
constexpr std::chrono::seconds kMaxErrorTime(5);

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

absl::StatusCode CodeOf(int status) {
  if (status == 401) return absl::StatusCode::kUnauthenticated;
  if (status == 403) return absl::StatusCode::kPermissionDenied;
  if (status == 404 || status == 410) return absl::StatusCode::kNotFound;
  if (status == 408 || status == 429 || status >= 500) return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kFailedPrecondition;
}

// The registry's own words (distribution-spec, Error Codes), "" when it has none.
std::string ErrorText(HttpStream& stream) {
  const auto deadline = std::chrono::steady_clock::now() + kMaxErrorTime;
  std::string body(kMaxErrorBody, '\0');
  size_t filled = 0;
  while (filled < body.size() && std::chrono::steady_clock::now() < deadline) {
    const absl::StatusOr<size_t> count = stream.Read(absl::MakeSpan(body).subspan(filled));
    if (!count.ok() || *count == 0) break;
    filled += *count;
  }
  const absl::StatusOr<Json> json = ParseJsonObject(absl::string_view(body).substr(0, filled));
  if (!json.ok()) return "";
  const absl::StatusOr<const Json*> errors = ArrayMember(*json, "errors");
  if (!errors.ok() || *errors == nullptr || (*errors)->empty() || !(*errors)->front().is_object()) return "";
  const absl::StatusOr<std::string> message = StringMember((*errors)->front(), "message");
  return message.ok() ? absl::CHexEscape(absl::string_view(*message).substr(0, 200)) : "";
}

absl::Status StatusError(HttpStream& stream, const Url& url) {
  const int status = stream.status();
  std::string text = absl::StrCat("GET ", url.ForMessages(), ": HTTP status ", status);
  if (status == 401) absl::StrAppend(&text, ": the registry wants credentials");
  const std::string reason = ErrorText(stream);
  if (!reason.empty()) absl::StrAppend(&text, ": ", reason);
  return absl::Status(CodeOf(status), text);
}

absl::Status CheckRedirect(const Url& from, const Url& to, bool from_internal) {
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
  return absl::PermissionDeniedError(
      absl::StrCat("GET ", from.ForMessages(), ": redirected ", cause, ": ", to.ForMessages()));
}

absl::Status CheckDigest(const std::string& body, const Digest& expected, absl::string_view what) {
  const Digest actual = Digest::Of(body);
  if (actual == expected) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(what, ": the body has digest ", actual.ToString(), " instead of ", expected.ToString()));
}

}  // namespace

RegistryClient::RegistryClient(LocalityRules rules, RegistryClientOptions options)
    : rules_(std::move(rules)), options_(options) {}

absl::StatusOr<FetchedManifest> RegistryClient::FetchManifest(const Reference& reference,
                                                              const Cancellation* cancellation) const {
  const std::string version = reference.digest.has_value() ? reference.digest->ToString() : reference.tag;
  const std::string what = absl::StrCat("manifest ", reference.ToString());
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpStream> stream,
                   Get(reference.host, absl::StrCat(reference.repository, "/manifests/", version), {kAcceptManifests},
                       cancellation));
  absl::StatusOr<std::string> body = ReadDocument(*stream, kMaxManifestBytes);
  if (!body.ok()) return Annotate(body.status(), what);
  if (reference.digest.has_value()) {
    RETURN_IF_ERROR(CheckDigest(*body, *reference.digest, what));
  } else if (const absl::StatusOr<Digest> announced = Digest::Parse(stream->Header("docker-content-digest"));
             announced.ok()) {
    RETURN_IF_ERROR(CheckDigest(*body, *announced, what));
  }
  const absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(*body);
  if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat(reference.ToString(), ": answer of the registry"));

  FetchedManifest fetched;
  fetched.descriptor.media_type = std::visit([](const auto& document) { return document.media_type; }, *parsed);
  fetched.descriptor.digest = Digest::Of(*body);
  fetched.descriptor.size = static_cast<int64_t>(body->size());
  fetched.bytes = *std::move(body);
  return fetched;
}

absl::StatusOr<std::string> RegistryClient::FetchBlobDocument(absl::string_view host, absl::string_view repository,
                                                              const Digest& digest, int64_t max_bytes,
                                                              const Cancellation* cancellation) const {
  const std::string what = absl::StrCat("blob ", digest.Short(), " of ", host, "/", repository);
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpStream> stream,
                   Get(host, absl::StrCat(repository, "/blobs/", digest.ToString()), {}, cancellation));
  absl::StatusOr<std::string> body = ReadDocument(*stream, max_bytes);
  if (!body.ok()) return Annotate(body.status(), what);
  RETURN_IF_ERROR(CheckDigest(*body, digest, what));
  return body;
}

absl::StatusOr<std::unique_ptr<ByteReader>> RegistryClient::OpenBlob(absl::string_view host,
                                                                     absl::string_view repository, const Digest& digest,
                                                                     const Cancellation* cancellation) const {
  ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream,
                   Get(host, absl::StrCat(repository, "/blobs/", digest.ToString()), {}, cancellation));
  return std::unique_ptr<ByteReader>(std::move(stream));
}

absl::StatusOr<std::vector<RegistryClient::Endpoint>> RegistryClient::Endpoints(absl::string_view host) const {
  if (IsMetadataAddress(host)) {
    return absl::PermissionDeniedError(
        absl::StrCat("registry ", host, ": the cloud's metadata service is never asked"));
  }
  if (host == "docker.io") return std::vector<Endpoint>{{.base = "https://registry-1.docker.io"}};
  const std::string http = absl::StrCat("http://", host);
  const std::string https = absl::StrCat("https://", host);
  if (IsLoopbackHost(host)) {
    const Endpoint tls = {.base = https, .verify_tls = false, .use_proxy = false};
    if (absl::EndsWith(host, ":443")) return std::vector<Endpoint>{tls};
    return std::vector<Endpoint>{{.base = http, .use_proxy = false}, tls};
  }
  if (rules_.Classify(host) == Locality::kLocal) {
    return std::vector<Endpoint>{{.base = https, .use_proxy = false}, {.base = http, .use_proxy = false}};
  }
  return std::vector<Endpoint>{{.base = https}};
}

absl::StatusOr<std::unique_ptr<HttpStream>> RegistryClient::Get(absl::string_view host, absl::string_view path,
                                                                const std::vector<std::string>& headers,
                                                                const Cancellation* cancellation) const {
  ASSIGN_OR_RETURN(const std::vector<Endpoint> endpoints, Endpoints(host));
  const std::string key(host);
  size_t first = 0;
  {
    MutexLock lock(mutex_);
    const auto known = working_.find(key);
    if (known != working_.end()) first = known->second;
  }
  const bool has_port = host.find(':', host.rfind(']') == host.npos ? 0 : host.rfind(']')) != host.npos;
  absl::StatusOr<std::unique_ptr<HttpStream>> answer = absl::InternalError("no endpoint");
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const size_t which = (first + i) % endpoints.size();
    absl::StatusOr<std::unique_ptr<HttpStream>> next = GetFrom(endpoints[which], path, headers, cancellation);
    const HttpObstacle obstacle = ObstacleOf(next.status());
    // 443 may be closed where 80 is open; with a port written there is no other.
    const bool unspoken = obstacle == HttpObstacle::kNotTls || obstacle == HttpObstacle::kNotHttp ||
                          (obstacle == HttpObstacle::kRefused && !has_port);
    // How TLS servers answer a plain request. The other way round it would be a downgrade.
    const bool declined = absl::IsFailedPrecondition(next.status()) && i + 1 < endpoints.size() &&
                          absl::StartsWith(endpoints[which].base, "http:");
    if (!unspoken && !declined) {
      MutexLock lock(mutex_);
      working_[key] = which;
      return next;
    }
    // The usual scheme's error says more than the exceptional one's.
    if (i == 0) answer = std::move(next);
  }
  return answer;
}

absl::StatusOr<std::unique_ptr<HttpStream>> RegistryClient::GetFrom(const Endpoint& endpoint, absl::string_view path,
                                                                    const std::vector<std::string>& headers,
                                                                    const Cancellation* cancellation) const {
  HttpRequest request;
  ASSIGN_OR_RETURN(request.url, ParseUrl(absl::StrCat(endpoint.base, "/v2/", path)));
  request.headers = headers;
  request.verify_tls = endpoint.verify_tls;
  request.use_proxy = endpoint.use_proxy;
  request.connect_timeout = options_.connect_timeout;
  request.stall_timeout = options_.stall_timeout;
  for (int hop = 0;; ++hop) {
    ASSIGN_OR_RETURN(std::unique_ptr<HttpStream> stream, HttpStream::Open(request, cancellation));
    if (stream->status() == 200) return stream;
    if (!IsRedirect(stream->status())) return StatusError(*stream, request.url);
    if (hop == options_.max_redirects) {
      return absl::UnavailableError(
          absl::StrCat("GET ", endpoint.base, "/v2/", path, ": more than ", hop, " redirects"));
    }
    absl::StatusOr<Url> next = ResolveUrl(request.url, stream->Header("location"));
    if (!next.ok()) return Annotate(next.status(), absl::StrCat("GET ", request.url.ForMessages(), ": redirected"));
    RETURN_IF_ERROR(CheckRedirect(request.url, *next, stream->PeerIsInternal()));
    // Whoever we go to next may be anybody: his certificate is checked, and a chain never comes back inside.
    request.verify_tls = request.verify_tls || next->host != request.url.host;
    request.use_proxy = rules_.Classify(next->host) != Locality::kLocal;
    request.allow_internal = request.allow_internal && stream->PeerIsInternal();
    request.url = *std::move(next);
  }
}

absl::StatusOr<std::string> RegistryClient::ReadDocument(HttpStream& stream, int64_t max_bytes) const {
  const absl::Status too_large = absl::InvalidArgumentError(absl::StrCat("larger than ", max_bytes, " bytes"));
  int64_t announced = 0;
  if (absl::SimpleAtoi(stream.Header("content-length"), &announced) && announced > max_bytes) return too_large;
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
