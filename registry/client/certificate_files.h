// Whether the certificate files that hosts.toml names can be used at all: asked when the file is read, since a TLS
// library says only much later, and not which file it was.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace sluice {

// As containerd checks them (core/remotes/docker/config/hosts.go: AppendCertsFromPEM, tls.X509KeyPair). Errors name the
// file: NotFound, PermissionDenied, …; InvalidArgument for what is in it.

// PEM with at least one certificate.
absl::Status CheckCaFile(const std::string& path);

// A PEM certificate with its private key, which has no passphrase. `key` "" means that it is in the same file.
absl::Status CheckClientCertificate(const std::string& certificate, const std::string& key);

}  // namespace sluice
