// The keys that containerd's metadata layer makes: "<namespace>/<sequence>/<the client's key>" (containerd
// metadata/snapshot.go, createKey).
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// InvalidArgument if `key` is of that form and of another namespace than `header`. Other keys are of clients that talk
// to us directly, and say nothing of a namespace.
absl::Status CheckKeyNamespace(absl::string_view key, absl::string_view header);

}  // namespace sluice
