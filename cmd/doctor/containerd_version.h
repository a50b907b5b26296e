// Which containerd: what can be configured differs from version to version.
#pragma once

#include <compare>
#include <optional>

#include "absl/strings/string_view.h"

namespace sluice {

struct ContainerdVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;

  auto operator<=>(const ContainerdVersion&) const = default;
};

// "1.6.20~ds1", "v2.3.4", "2.4.0-beta.0", "1.7"; unset for what does not begin so. A patch that is not written is the
// newest.
std::optional<ContainerdVersion> ParseContainerdVersion(absl::string_view text);

// Before which version a thing is not there (proxy plugins' own history: containerd's release notes).
inline constexpr ContainerdVersion kSince17Differ = {1, 7, 4};
inline constexpr ContainerdVersion kSince17Exports = {1, 7, 16};
inline constexpr ContainerdVersion kSinceTransferPull = {2, 0, 0};
inline constexpr ContainerdVersion kSinceRemoteAnnotations = {2, 1, 0};

// Whether a proxy plugin's exports.root is what CRI tells the kubelet.
bool ReadsExportsRoot(const ContainerdVersion& version);

}  // namespace sluice
