// The platform of an image, and which one of an index is meant (image-spec image-index.md; choice as containerd's
// platforms package).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct Platform {
  std::string os;            // "linux"
  std::string architecture;  // GOARCH: "amd64"
  std::string variant;       // "v8", "" when none
  std::string os_version;
  std::vector<std::string> os_features;

  // "linux/arm64/v8"
  std::string ToString() const;
  bool operator==(const Platform&) const = default;
};

// "os/arch[/variant]", normalised ("aarch64" is arm64, arm64 is arm64/v8, …). InvalidArgument otherwise.
absl::StatusOr<Platform> ParsePlatform(absl::string_view text);
// This machine's.
Platform HostPlatform();

// 0: `candidate` does not run on `wanted`; else larger is the better match.
int PlatformScore(const Platform& wanted, const Platform& candidate);

}  // namespace sluice
