// Who we are to a registry: user name and password, or a token, as Docker's tools keep them.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"

namespace sluice {

// Secret: never printed, never part of an error. `source` may be.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  // an OAuth2 refresh token: used in place of the password, which may be there or not
  std::string registry_token;  // a ready bearer token
  std::string source;          // where they are from: "/root/.docker/config.json", "docker-credential-pass"
};

// Thread-safe.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;

  // Those for `repository` of `host` (as in Reference); unset if there are none: then the registry is asked without.
  // Errors name the file or the helper, never what is in it: InvalidArgument a file that is damaged; PermissionDenied
  // and the like one that can't be read; Unavailable a helper that fails, hangs or can't be run; Cancelled.
  virtual absl::StatusOr<std::optional<Credentials>> Find(absl::string_view host, absl::string_view repository,
                                                          const Cancellation* cancellation) const = 0;
};

}  // namespace sluice
