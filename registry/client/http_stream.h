// One HTTP GET, its body read as a stream. The only file of Sluice whose implementation knows libcurl.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"

namespace sluice {

// An absolute http or https URL, taken apart as libcurl will understand it (numeric hosts in any spelling come out as
// plain addresses).
struct Url {
  std::string text;    // whole
  std::string scheme;  // "http", "https"
  std::string host;    // without port; IPv6 in brackets

  // Without the query, which may hold a signature.
  std::string ForMessages() const;
};

// InvalidArgument for another scheme, or with user or password in it.
absl::StatusOr<Url> ParseUrl(absl::string_view text);
// `location` as a redirect from `base` means it.
absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location);

struct HttpRequest {
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  bool verify_tls = true;
  bool use_proxy = true;       // as the environment says (https_proxy, no_proxy, …)
  bool allow_internal = true;  // may the address that is connected to be IpAddress::IsInternal?
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);  // without a single byte
};

// What stood in the way, where another scheme could help.
enum class HttpObstacle {
  kOther,
  kRefused,  // nobody listens
  kNotTls,   // an answer to https that is no TLS
  kNotHttp,  // an answer to http that is no HTTP
};
HttpObstacle ObstacleOf(const absl::Status& status);

// One thread at a time. Redirects are not followed. The cloud metadata addresses are refused when they are about to be
// connected to, whatever name led there.
class HttpStream : public ByteReader {
 public:
  // Sends the request and waits for the head of the answer, of any status. `cancellation` is borrowed for the life of
  // the stream, may be null and is looked at every 50 ms.
  // Errors: Unavailable (see ObstacleOf) network, TLS, stall; PermissionDenied a forbidden address; Cancelled.
  static absl::StatusOr<std::unique_ptr<HttpStream>> Open(const HttpRequest& request, const Cancellation* cancellation);

  virtual int status() const = 0;
  // "" when absent; `name` in lower case. Of several the last.
  virtual std::string Header(absl::string_view name) const = 0;
  // True if the other side's address is IpAddress::IsInternal.
  virtual bool PeerIsInternal() const = 0;
};

}  // namespace sluice
