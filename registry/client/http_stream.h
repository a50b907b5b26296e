// One HTTP request, the body of its answer read as a stream. The only file of Sluice whose implementation knows
// libcurl.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "registry/client/address_reach.h"
#include "registry/client/connection_pool.h"
#include "registry/client/http_head.h"

namespace sluice {

// An absolute http or https URL, taken apart as libcurl will understand it (numeric hosts in any spelling come out as
// plain addresses).
struct Url {
  std::string text;    // whole
  std::string scheme;  // "http", "https"
  std::string host;    // without port; IPv6 in brackets
  std::string origin;  // scheme, host and port, always with the port: "https://ghcr.io:443"

  // "ghcr.io:443"
  std::string Authority() const { return origin.substr(scheme.size() + 3); }
  // Without the query, which may hold a signature.
  std::string ForMessages() const;
};

// InvalidArgument for another scheme, or with user or password in it.
absl::StatusOr<Url> ParseUrl(absl::string_view text);
// `location` as a redirect from `base` means it.
absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location);

struct TlsOptions {
  bool verify = true;
  std::string extra_ca_pem;  // certificates that are trusted beside the system's
  std::string certificate_file;
  std::string key_file;  // "" if it is in the certificate's file
};

struct HttpRequest {
  Url url;
  std::vector<std::string> headers;         // "Name: value"
  std::vector<std::string> secret_headers;  // the same; for the origin of `url` and nobody else
  std::optional<std::string> form;          // POSTed, urlencoded; without one it is a GET
  TlsOptions tls;
  bool use_proxy = true;  // as the environment says (https_proxy, no_proxy, …)
  AddressReach reach = AddressReach::kAnywhere;
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);  // with no answer, or almost none
};

// One thread at a time. Redirects are not followed, encodings neither asked for nor undone. The cloud metadata
// addresses are refused when they are about to be connected to, whatever name led there.
class HttpStream : public ByteReader {
 public:
  // Sends the request and waits for the head of the answer, of any status. `cancellation` is borrowed for the life of
  // the stream, may be null and is looked at every 50 ms.
  // Errors, naming the URL: Unavailable (see HttpObstacle) network, TLS, stall; PermissionDenied a forbidden address;
  // Cancelled. A stall is fewer than 4 KiB in `stall_timeout` of waiting. Those of Read are the same, without the URL.
  static absl::StatusOr<std::unique_ptr<HttpStream>> Open(const HttpRequest& request,
                                                          const std::shared_ptr<ConnectionPool>& pool,
                                                          const Cancellation* cancellation);

  virtual const Url& url() const = 0;
  virtual int status() const = 0;
  virtual const HttpHead& head() const = 0;
  // Of the body, if the head tells.
  virtual std::optional<int64_t> ContentLength() const = 0;
  // True if the other side's address is IpAddress::IsInternal.
  virtual bool PeerIsInternal() const = 0;

  enum class Rest { kNone, kSome, kUnknown };
  // Reads on to the end of the body, if that is at most about `max_bytes` away and comes within `patience`: then the
  // connection can serve another request. Tells whether anything was left, and appends it to `into` if that is not
  // null. No Read afterwards.
  virtual Rest Drain(size_t max_bytes, std::chrono::milliseconds patience, std::string* into = nullptr) = 0;
};

}  // namespace sluice
