// An image reference, parsed and normalised as Docker does (distribution reference grammar).
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"

namespace sluice {

// A value. "alpine" becomes docker.io/library/alpine:latest.
struct Reference {
  std::string host;        // with its port, if any: "docker.io", "172.30.0.1:5000", "[fd00::1]:5000"
  std::string repository;  // "library/alpine"
  std::string tag;         // "" only when there is a digest
  std::optional<Digest> digest;

  // The canonical full form, "host/repository[:tag][@digest]": the name containerd and nerdctl use.
  std::string ToString() const;
};

// InvalidArgument quoting `text` and saying what is wrong with it.
absl::StatusOr<Reference> ParseReference(absl::string_view text);

// Whether `text` can be a Reference's repository, or its tag. Such a text is a relative path that has no "..", and no
// component that begins with '.'; a repository has none that begins with '_' either.
bool IsRepository(absl::string_view text);
bool IsTag(absl::string_view text);

}  // namespace sluice
