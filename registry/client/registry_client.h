// A registry over HTTP (OCI distribution-spec, pull): manifests, configs and blobs.
//
//   const RegistryClient client(rules, options);
//   ASSIGN_OR_RETURN(FetchedManifest manifest, client.FetchManifest(reference, &cancellation));
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "registry/client/credential_source.h"
#include "registry/client/endpoint_client.h"
#include "registry/client/endpoints.h"
#include "registry/client/retry_clock.h"
#include "registry/client/retry_policy.h"
#include "registry/descriptor.h"
#include "registry/locality.h"
#include "registry/reference.h"

namespace sluice {

struct RegistryClientOptions {
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);   // Name look-up, TCP and TLS together.
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);     // With less than 4 KiB coming.
  std::chrono::milliseconds document_timeout = std::chrono::seconds(60);  // For a whole manifest, config or token.
  int max_redirects = 5;
  // Requests and open blobs at once; whoever comes later waits. A thread that holds several open blobs counts for each.
  int max_connections = 32;
  RetryPolicy retry;
  std::string hosts_dir;                                // As containerd's certs.d. "": none.
  std::shared_ptr<const CredentialSource> credentials;  // Null: anonymous.
  std::vector<std::string> plain_http_credentials;      // Hosts, in the form of local_registries.
  std::shared_ptr<const RetryClock> clock;              // Null: the real one.
  // Is told of a hosts.toml that counts as absent, since containerd would not read it either; may be empty.
  std::function<void(const absl::Status&)> on_ignored_hosts;
};

struct FetchedManifest {
  Descriptor descriptor;  // digest and size of `bytes`
  std::string bytes;      // a manifest or an index
};

struct BlobRequest {
  Digest digest;
  std::optional<int64_t> size = std::nullopt;  // of the whole blob; where it is known, exactly that must come
  int64_t offset = 0;                          // where to begin; at most `size`
};

// Thread-safe. `cancellation` is borrowed, may be null, and is obeyed within 100 ms.
//
// Who is asked, over which scheme, and who is shown credentials: Endpoints. Redirects, and what is withheld from where
// they lead: HttpClient. Where token servers may be: TokenClient.
//
// An endpoint that fails is followed by the next one. What may pass (429, 5xx, a broken connection) is tried again with
// growing delays, RetryPolicy::max_attempts times in a row, or when the registry says so. A document that isn't what
// its digest says counts as a failure of the endpoint.
//
// Errors: NotFound the registry says so; Unauthenticated, PermissionDenied 401, 403, forbidden addresses; DataLoss
// another digest or length; InvalidArgument too large, not a manifest, a bad host or repository; Unavailable network,
// 429, 5xx; FailedPrecondition answers that make no sense, files of the configuration; Cancelled; as CredentialSource.
// Each one names the URL, without its query, and never a secret.
class RegistryClient {
 public:
  explicit RegistryClient(LocalityRules rules, RegistryClientOptions options = {});

  // By digest where `reference` has one (then verified against it), else by tag, of which mirrors that may not resolve
  // are not asked.
  absl::StatusOr<FetchedManifest> FetchManifest(const Reference& reference, const Cancellation* cancellation) const;

  // A small blob, such as a config, whole and verified. `host` as in Reference::host.
  absl::StatusOr<std::string> FetchBlobDocument(absl::string_view host, absl::string_view repository,
                                                const Digest& digest, int64_t max_bytes,
                                                const Cancellation* cancellation) const;

  // A blob as a stream, NOT verified: unpack/ does that. The answer has begun when this returns; what breaks later is
  // continued by the reader itself (BlobReader). `cancellation` is borrowed for the life of the reader, which may
  // outlive the client.
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(absl::string_view host, absl::string_view repository,
                                                       const BlobRequest& blob, const Cancellation* cancellation) const;

 private:
  // <repository>/<path> from the first of `endpoints` that has it, whole and verified.
  absl::StatusOr<std::string> FetchDocument(const std::vector<EndpointSchemes>& endpoints, absl::string_view repository,
                                            const std::string& path, const std::vector<std::string>& headers,
                                            int64_t max_bytes, const std::optional<Digest>& digest,
                                            const Cancellation* cancellation) const;

  const RetryPolicy retry_;
  const std::shared_ptr<const RetryClock> clock_;
  const Endpoints endpoints_;
  const std::shared_ptr<EndpointClient> client_;
};

}  // namespace sluice
