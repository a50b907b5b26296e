// Asks a token server for a bearer token (Docker's token authentication, distribution docs/spec/auth/{token,oauth}.md;
// the order of the ways as in containerd core/remotes/docker/authorizer.go).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "registry/client/bearer_token.h"
#include "registry/client/challenge.h"
#include "registry/client/credential_source.h"
#include "registry/client/endpoints.h"
#include "registry/client/http_client.h"
#include "registry/client/retry_clock.h"

namespace sluice {

struct TokenRequest {
  Challenge challenge;                // with a realm
  std::string scope;                  // beside the challenge's own: "repository:a/b:pull"
  bool registry_is_internal = false;  // the address that sent the challenge
};

// Thread-safe.
class TokenClient {
 public:
  TokenClient(std::shared_ptr<const HttpClient> http, std::shared_ptr<const RetryClock> clock);

  // `credentials` may be null: an anonymous token. With them a POST is tried first and, where a token server does not
  // know that, a GET.
  //
  // The realm is chosen by whoever answered for the registry, so it is not trusted: never a link-local or metadata
  // address, never http after https, never an internal address if the registry's is public; and credentials go to it
  // over https, or over http if it is on the registry's own host. hosts.toml's headers are not for it.
  //
  // Errors, which name the realm and never what was sent or answered: Unauthenticated the token server refuses;
  // PermissionDenied a forbidden realm; InvalidArgument an answer that is no token; Unavailable; Cancelled.
  absl::StatusOr<BearerToken> Fetch(const RegistryEndpoint& endpoint, const TokenRequest& request,
                                    const Credentials* credentials, const Cancellation* cancellation) const;

 private:
  absl::StatusOr<BearerToken> Read(HttpStream& stream) const;

  const std::shared_ptr<const HttpClient> http_;
  const std::shared_ptr<const RetryClock> clock_;
};

}  // namespace sluice
