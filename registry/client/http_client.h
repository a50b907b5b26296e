// One request with its redirects, and what every caller does with an answer: documents within bounds, errors with their
// reason.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "registry/client/connection_pool.h"
#include "registry/client/http_stream.h"
#include "registry/locality.h"

namespace sluice {

struct HttpClientOptions {
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);
  std::chrono::milliseconds document_timeout = std::chrono::seconds(60);
  int max_redirects = 5;
  int max_connections = 32;
};

// Thread-safe.
class HttpClient {
 public:
  HttpClient(LocalityRules rules, const HttpClientOptions& options);

  // The answer, of any status but a redirect's. Follows the redirects of a GET: never from https to http, never from a
  // public address to an internal one, never to a cloud's metadata service. At another origin secret headers and client
  // certificate are not shown and the certificate is always checked; coming back changes nothing of that.
  // `request.use_proxy` and `request.stall_timeout` are set here: local hosts are asked without a proxy.
  absl::StatusOr<std::unique_ptr<HttpStream>> Send(HttpRequest request, const Cancellation* cancellation) const;

  // The whole body. InvalidArgument: larger than `max_bytes`; Unavailable: it breaks, or takes longer than
  // `document_timeout`.
  absl::StatusOr<std::string> ReadDocument(HttpStream& stream, int64_t max_bytes) const;

 private:
  const LocalityRules rules_;
  const HttpClientOptions options_;
  const std::shared_ptr<ConnectionPool> pool_;
};

// Refuses `to` as a place that `from` sends us to, be it a redirect or the realm of a challenge. PermissionDenied,
// whose message begins with the kind of step that was refused: "from https to http: http://…".
absl::Status CheckStep(const Url& from, bool from_internal, const Url& to);

// What an answer that is no success means, with the registry's own words (distribution-spec, Error Codes) where it has
// some and they repeat none of `secrets`. Unauthenticated 401; PermissionDenied 403; NotFound 404, 410; Unavailable,
// marked as transient with its Retry-After, 408, 429 and what is temporary of 5xx; FailedPrecondition others.
absl::Status StatusError(HttpStream& stream, absl::Time now, absl::Span<const std::string> secrets);

}  // namespace sluice
