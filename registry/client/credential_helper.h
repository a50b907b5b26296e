// A program that keeps passwords: docker-credential-<name> (github.com/docker/docker-credential-helpers).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "registry/client/credential_source.h"

namespace sluice {

struct CredentialHelperOptions {
  std::string path;                      // as $PATH; directories that aren't absolute are passed over
  std::vector<std::string> environment;  // "NAME=value", all that the program gets
  std::chrono::milliseconds timeout = std::chrono::seconds(10);
};

// Letters, digits, '.', '_' and '-': no path, no option.
bool IsCredentialHelperName(absl::string_view name);

// What `docker-credential-<name> get` says of `server`, which it gets on standard input: a host with its port, or
// "https://index.docker.io/v1/". Unset if it knows none. Started without a shell, in a process group of its own, with
// no file descriptors but 0, 1 and 2; 2 is /dev/null. When time is up or `cancellation` (borrowed, may be null, obeyed
// within 100 ms) set, the group is killed. May be called from several threads; blocks. The caller's descriptors 0 to 2
// must be open.
// Errors: InvalidArgument the name; Unavailable it isn't there, can't be run, fails, hangs, or answers something else
// than the protocol says, more than 256 KiB of it included; Cancelled; else what the system says. Never a part of what
// it wrote.
absl::StatusOr<std::optional<Credentials>> AskCredentialHelper(const std::string& name, absl::string_view server,
                                                               const CredentialHelperOptions& options,
                                                               const Cancellation* cancellation);

}  // namespace sluice
