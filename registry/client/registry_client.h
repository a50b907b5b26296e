// A registry over HTTP (OCI distribution-spec, pull): manifests, configs and blobs, without credentials.
//
//   const RegistryClient client(rules);
//   ASSIGN_OR_RETURN(FetchedManifest manifest, client.FetchManifest(reference, &cancellation));
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "registry/client/http_stream.h"
#include "registry/descriptor.h"
#include "registry/locality.h"
#include "registry/reference.h"

namespace sluice {

struct RegistryClientOptions {
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);   // Name look-up, TCP and TLS together.
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);     // Without a single byte.
  std::chrono::milliseconds document_timeout = std::chrono::seconds(60);  // For a whole manifest or config.
  int max_redirects = 5;
};

struct FetchedManifest {
  Descriptor descriptor;  // digest and size of `bytes`
  std::string bytes;      // a manifest or an index
};

// Thread-safe. `cancellation` is borrowed, may be null, and is obeyed within 100 ms.
//
// Scheme: a loopback host by http unless its port is 443, else by https without checking its certificate, as
// containerd; any other local host by https and, if it does not speak TLS, by http; a remote one by https only. What
// worked is remembered per host. Redirects: at most `max_redirects`, never from https to http, never from a public
// address to an internal one, never to a cloud's metadata service.
//
// Errors: NotFound the registry says so; Unauthenticated, PermissionDenied 401, 403, forbidden addresses; DataLoss a
// body with another digest; InvalidArgument too large, not a manifest; Unavailable network, 429, 5xx; Cancelled. Each
// one names the URL, without its query.
class RegistryClient {
 public:
  explicit RegistryClient(LocalityRules rules, RegistryClientOptions options = {});

  // By digest where `reference` has one (then verified against it), else by tag.
  absl::StatusOr<FetchedManifest> FetchManifest(const Reference& reference, const Cancellation* cancellation) const;

  // A small blob, such as a config, whole and verified. `host` as in Reference::host.
  absl::StatusOr<std::string> FetchBlobDocument(absl::string_view host, absl::string_view repository,
                                                const Digest& digest, int64_t max_bytes,
                                                const Cancellation* cancellation) const;

  // A blob as a stream, NOT verified: unpack/ does that. Connections are not resumed. `cancellation` is borrowed for
  // the life of the reader.
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(absl::string_view host, absl::string_view repository,
                                                       const Digest& digest, const Cancellation* cancellation) const;

 private:
  // Where a host is asked.
  struct Endpoint {
    std::string base;  // "http://172.30.0.1:5000"
    bool verify_tls = true;
    bool use_proxy = true;
  };

  absl::StatusOr<std::vector<Endpoint>> Endpoints(absl::string_view host) const;
  // GET <endpoint>/v2/<path> at the first endpoint of `host` that speaks its scheme; the answer has status 200.
  absl::StatusOr<std::unique_ptr<HttpStream>> Get(absl::string_view host, absl::string_view path,
                                                  const std::vector<std::string>& headers,
                                                  const Cancellation* cancellation) const;
  absl::StatusOr<std::unique_ptr<HttpStream>> GetFrom(const Endpoint& endpoint, absl::string_view path,
                                                      const std::vector<std::string>& headers,
                                                      const Cancellation* cancellation) const;
  absl::StatusOr<std::string> ReadDocument(HttpStream& stream, int64_t max_bytes) const;

  const LocalityRules rules_;
  const RegistryClientOptions options_;
  mutable Mutex mutex_;
  // Which of Endpoints(host) answered last.
  mutable std::map<std::string, size_t> working_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
