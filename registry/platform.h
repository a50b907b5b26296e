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

  // "linux/arm/v7"
  std::string ToString() const;
  bool operator==(const Platform&) const = default;
};

// containerd's one spelling: "aarch64" is arm64, arm64/v8 is arm64, arm is arm/v7, amd64/v1 is amd64, ….
Platform NormalizePlatform(Platform platform);

// "os/arch[/variant]", normalised. InvalidArgument otherwise.
absl::StatusOr<Platform> ParsePlatform(absl::string_view text);
// This machine's.
Platform HostPlatform();

// 0: `candidate` does not run on `wanted`; else larger is the better match: the same variant, then the lower ones down
// to v1 (amd64) or v5 (arm), then 386 on amd64 and arm on arm64. An OS version matters where `wanted` names one; an OS
// feature that `wanted` lacks is a mismatch. Both are normalised first.
int PlatformScore(const Platform& wanted, const Platform& candidate);

}  // namespace sluice
