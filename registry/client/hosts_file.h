// The text of a hosts.toml, read into its places and their fields.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/client/configured_endpoint.h"
#include "registry/client/host_url.h"

namespace sluice {

// One [host."…"] or the root of the file. A field that isn't written is unset or empty.
struct HostsFileEntry {
  HostUrl url;  // of the root: `server`; without a host if that isn't written
  bool can_pull = true;
  bool can_resolve = true;
  std::optional<std::vector<std::string>> ca_files;
  std::vector<ConfiguredEndpoint::ClientCertificate> clients;
  std::optional<bool> skip_verify;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::chrono::milliseconds> dial_timeout;
};

// In the order of the file, the root last. Paths become absolute by `directory`, which holds the file.
// InvalidArgument "<line>: <key>: <cause>" for what containerd can't decode.
absl::StatusOr<std::vector<HostsFileEntry>> ParseHostsFile(absl::string_view text, const std::string& directory);

}  // namespace sluice
