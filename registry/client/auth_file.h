// The text of a file of passwords: Docker's config.json, containers' auth.json (containers-auth.json(5)).
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/client/credential_source.h"

namespace sluice {

// What the file says of a repository: the credentials themselves, or which helper has them, or neither.
struct AuthFileAnswer {
  std::optional<Credentials> credentials;
  std::string helper;         // "pass"; "" if none
  std::string helper_server;  // what to ask it for
};

// As Docker: a helper of the host's own (credHelpers), else the one for all hosts (credsStore), else the passwords in
// the file (auths); one of them alone, so that what a helper doesn't know isn't looked for in the file.
//
// Of `auths` the key with the longest path counts that `repository` is below, then the host itself: "reg.lan/team/app",
// "reg.lan/team", "reg.lan". A key with a scheme, as older Dockers wrote them, stands for its host whatever its path
// ("https://reg.lan/v1/"). Docker Hub is docker.io, index.docker.io, registry-1.docker.io and, to Docker and its
// helpers, "https://index.docker.io/v1/". An entry that says nothing is passed over: Docker leaves one behind where a
// helper has the password.
//
// InvalidArgument for what is no JSON, has a member of the wrong type or a helper's name that is none, or for an entry
// that is needed and can't be decoded. Never quotes a value.
absl::StatusOr<AuthFileAnswer> LookUpAuthFile(absl::string_view text, absl::string_view host,
                                              absl::string_view repository);

}  // namespace sluice
