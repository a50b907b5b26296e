// What is sent along so that a registry lets us read: answers to its challenges, kept until they expire or are refused.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "registry/client/challenge.h"
#include "registry/client/credential_source.h"
#include "registry/client/endpoints.h"
#include "registry/client/retry_clock.h"
#include "registry/client/token_client.h"

namespace sluice {

struct Authorization {
  std::string header;                // "Authorization: …", secret; "" = none
  std::vector<std::string> secrets;  // what no message may repeat
  std::string remedy;                // what to say if the registry refuses it
};

// A 401, as far as it matters here.
struct AuthorizationRefusal {
  std::vector<std::string> challenges;  // its WWW-Authenticate headers
  bool from_internal_address = false;
};

// Thread-safe. However many requests need a token for one repository at the same time, it is fetched once.
class Authorizer {
 public:
  // `credentials` may be null: everybody is anonymous.
  Authorizer(std::shared_ptr<const CredentialSource> credentials, std::shared_ptr<const HttpClient> http,
             std::shared_ptr<const RetryClock> clock);

  // What `endpoint` wanted for `repository` the last time; tokens are renewed before they expire. Empty if it has not
  // asked for anything yet. Errors as Answer.
  absl::StatusOr<Authorization> Known(const RegistryEndpoint& endpoint, absl::string_view repository,
                                      const Cancellation* cancellation);

  // The answer to a refusal of `sent`. Bearer is preferred to Basic; a ready registry token answers any challenge.
  // Errors: Unauthenticated, saying what would help; as TokenClient and CredentialSource.
  absl::StatusOr<Authorization> Answer(const RegistryEndpoint& endpoint, absl::string_view repository,
                                       const AuthorizationRefusal& refusal, const Authorization& sent,
                                       const Cancellation* cancellation);

 private:
  struct Session {
    TokenRequest request;
    Authorization authorization;
    absl::Time renew_at = absl::InfiniteFuture();
    bool renewing = false;
    absl::Status failure;  // of the last renewal
  };
  // A registry's URL and a repository: two repositories of one registry have two tokens.
  using Key = std::pair<std::string, std::string>;

  std::shared_ptr<Session> Find(const Key& key, bool create) SLUICE_REQUIRES(mutex_);
  // Waits for a renewal that runs; true if there was one.
  absl::StatusOr<bool> Await(const Session& session, const Cancellation* cancellation) SLUICE_REQUIRES(mutex_);
  // Releases the mutex while it asks.
  absl::StatusOr<Authorization> Renew(Session& session, const RegistryEndpoint& endpoint, absl::string_view repository,
                                      const Cancellation* cancellation) SLUICE_REQUIRES(mutex_);
  absl::Status Ask(const RegistryEndpoint& endpoint, absl::string_view repository, const TokenRequest& request,
                   const Cancellation* cancellation, Authorization& authorization, absl::Time& renew_at) const;

  const std::shared_ptr<const CredentialSource> credentials_;
  const TokenClient tokens_;
  const std::shared_ptr<const RetryClock> clock_;
  Mutex mutex_;
  CondVar renewed_;
  std::map<Key, std::shared_ptr<Session>> sessions_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
