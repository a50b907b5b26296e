// The credentials that `docker login`, `podman login` and the like have left on this host.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "registry/client/credential_source.h"

namespace sluice {

// Where to look: an environment, so that a test or a daemon can have another one than the process has.
struct DockerCredentialOptions {
  std::string home;                  // "" for none: then nothing below it is looked for
  std::string docker_config;         // $DOCKER_CONFIG, a directory
  std::string registry_auth_file;    // $REGISTRY_AUTH_FILE
  std::string xdg_config_home;       // $XDG_CONFIG_HOME
  std::string xdg_runtime_dir;       // $XDG_RUNTIME_DIR
  std::string containers_directory;  // in place of $XDG_RUNTIME_DIR/containers when that is unset: "/run/containers/0"

  // For credential helpers; see CredentialHelperOptions.
  std::string path;
  std::vector<std::string> environment;
  std::chrono::milliseconds helper_timeout = std::chrono::seconds(10);

  // The process's own. A service may run without HOME: then the password database says it, to the helpers, too.
  static DockerCredentialOptions FromEnvironment();
};

// The first of these files that has an answer for a repository gives it (see LookUpAuthFile):
//   $REGISTRY_AUTH_FILE, which then is the only one, as for containers' tools; else
//   $DOCKER_CONFIG/config.json or ~/.docker/config.json
//   $XDG_RUNTIME_DIR/containers/auth.json or /run/containers/<uid>/auth.json
//   $XDG_CONFIG_HOME/containers/auth.json or ~/.config/containers/auth.json
// Files are read anew, and helpers run anew, at each look-up. A file that isn't there is passed over; one that can't be
// read (PermissionDenied, …), is larger than 4 MiB or damaged is an error, since the next one might have other
// credentials, for somebody else.
std::unique_ptr<CredentialSource> MakeDockerCredentials(const DockerCredentialOptions& options);

}  // namespace sluice
