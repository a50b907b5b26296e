#include "registry/client/authorizer.h"

#include <algorithm>
#include <chrono>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kPoll(50);
constexpr size_t kMaxSessions = 1000;

std::string Base64(const std::string& user, const std::string& password) {
  return absl::Base64Escape(absl::StrCat(user, ":", password));
}

// In every form in which they are sent, to whomever.
std::vector<std::string> SecretsOf(const Credentials& credentials) {
  return {credentials.password, Base64(credentials.username, credentials.password), credentials.identity_token,
          Base64("", credentials.identity_token), credentials.registry_token};
}

bool HasPassword(const Credentials& credentials) {
  return !credentials.username.empty() && !credentials.password.empty();
}

// The first that we can answer, token servers before passwords.
const Challenge* Choose(const std::vector<Challenge>& challenges) {
  for (const char* scheme : {"bearer", "basic"}) {
    const auto found = std::find_if(challenges.begin(), challenges.end(),
                                    [scheme](const Challenge& challenge) { return challenge.scheme == scheme; });
    if (found != challenges.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

Authorizer::Authorizer(std::shared_ptr<const CredentialSource> credentials, std::shared_ptr<const HttpClient> http,
                       std::shared_ptr<const RetryClock> clock)
    : credentials_(std::move(credentials)), tokens_(std::move(http), clock), clock_(clock) {}

absl::StatusOr<Authorization> Authorizer::Known(const RegistryEndpoint& endpoint, absl::string_view repository,
                                                const Cancellation* cancellation) {
  MutexLock lock(mutex_);
  const std::shared_ptr<Session> session = Find({endpoint.base.text, std::string(repository)}, /*create=*/false);
  if (session == nullptr) return Authorization();
  ASSIGN_OR_RETURN(const bool waited, Await(*session, cancellation));
  if (waited && !session->failure.ok()) return session->failure;
  if (clock_->Now() < session->renew_at) return session->authorization;
  return Renew(*session, endpoint, repository, cancellation);
}

absl::StatusOr<Authorization> Authorizer::Answer(const RegistryEndpoint& endpoint, absl::string_view repository,
                                                 const AuthorizationRefusal& refusal, const Authorization& sent,
                                                 const Cancellation* cancellation) {
  const std::vector<Challenge> challenges = ParseChallenges(refusal.challenges);
  const Challenge* challenge = Choose(challenges);
  if (challenge == nullptr) {
    return absl::UnauthenticatedError(challenges.empty()
                                          ? "the registry wants credentials and does not say of which kind"
                                          : absl::StrCat("the registry wants credentials of the kind \"",
                                                         challenges.front().scheme, "\", which sluice does not know"));
  }
  MutexLock lock(mutex_);
  const std::shared_ptr<Session> session = Find({endpoint.base.text, std::string(repository)}, /*create=*/true);
  ASSIGN_OR_RETURN(const bool waited, Await(*session, cancellation));
  if (waited && !session->failure.ok()) return session->failure;
  const bool is_new = session->authorization.header != sent.header && !session->authorization.header.empty();
  if (is_new && clock_->Now() < session->renew_at) return session->authorization;
  session->request.challenge = *challenge;
  session->request.registry_is_internal = refusal.from_internal_address;
  session->request.scope = absl::StrCat("repository:", repository, ":pull");
  return Renew(*session, endpoint, repository, cancellation);
}

std::shared_ptr<Authorizer::Session> Authorizer::Find(const Key& key, bool create) {
  const auto found = sessions_.find(key);
  if (found != sessions_.end()) return found->second;
  if (!create) return nullptr;
  // Whoever uses a session holds it too.
  if (sessions_.size() >= kMaxSessions) sessions_.clear();
  return sessions_[key] = std::make_shared<Session>();
}

absl::StatusOr<bool> Authorizer::Await(const Session& session, const Cancellation* cancellation) {
  bool waited = false;
  while (session.renewing) {
    if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
    renewed_.WaitFor(mutex_, kPoll);
    waited = true;
  }
  // Who was cancelled has not found out anything for the others.
  return waited && !absl::IsCancelled(session.failure);
}

absl::StatusOr<Authorization> Authorizer::Renew(Session& session, const RegistryEndpoint& endpoint,
                                                absl::string_view repository, const Cancellation* cancellation) {
  session.renewing = true;
  const TokenRequest request = session.request;
  Authorization authorization;
  absl::Time renew_at = absl::InfiniteFuture();
  mutex_.Unlock();
  const absl::Status status = Ask(endpoint, repository, request, cancellation, authorization, renew_at);
  mutex_.Lock();
  session.renewing = false;
  session.failure = status;
  session.authorization = status.ok() ? std::move(authorization) : Authorization();
  session.renew_at = renew_at;
  renewed_.NotifyAll();
  RETURN_IF_ERROR(status);
  return session.authorization;
}

absl::Status Authorizer::Ask(const RegistryEndpoint& endpoint, absl::string_view repository,
                             const TokenRequest& request, const Cancellation* cancellation,
                             Authorization& authorization, absl::Time& renew_at) const {
  std::optional<Credentials> credentials;
  if (credentials_ != nullptr) {
    ASSIGN_OR_RETURN(credentials, credentials_->Find(endpoint.credential_host, repository, cancellation));
  }
  if (credentials.has_value()) authorization.secrets = SecretsOf(*credentials);
  std::string remedy = absl::StrCat("there are no credentials for ", endpoint.credential_host);
  if (credentials.has_value()) {
    remedy = absl::StrCat("the credentials for ", endpoint.credential_host, " from ", credentials->source,
                          " are not accepted");
    if (!endpoint.allow_credentials) {
      credentials.reset();
      remedy = absl::StrCat("credentials are not sent over plain http: add \"", endpoint.credential_host,
                            "\" to registry.plain_http_credentials in config.toml to allow it");
    }
  }
  if (credentials.has_value() && !credentials->registry_token.empty()) {
    authorization.header = absl::StrCat("Authorization: Bearer ", credentials->registry_token);
  } else if (request.challenge.scheme == "bearer") {
    const bool signs_in =
        credentials.has_value() && (HasPassword(*credentials) || !credentials->identity_token.empty());
    absl::StatusOr<BearerToken> token =
        tokens_.Fetch(endpoint, request, signs_in ? &*credentials : nullptr, cancellation);
    if (absl::IsUnauthenticated(token.status())) {
      return absl::UnauthenticatedError(absl::StrCat(token.status().message(), ": ", remedy));
    }
    RETURN_IF_ERROR(token.status());
    authorization.header = absl::StrCat("Authorization: Bearer ", token->value);
    authorization.secrets.push_back(token->value);
    renew_at = token->refresh_at;
  } else if (credentials.has_value() && HasPassword(*credentials)) {
    authorization.header = absl::StrCat("Authorization: Basic ", Base64(credentials->username, credentials->password));
  } else {
    return absl::UnauthenticatedError(absl::StrCat("the registry wants credentials: ", remedy));
  }
  authorization.remedy = std::move(remedy);
  return absl::OkStatus();
}

}  // namespace sluice
