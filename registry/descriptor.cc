#include "registry/descriptor.h"

#include <algorithm>
#include <array>

#include "absl/strings/string_view.h"

namespace sluice {
namespace {

constexpr std::array<absl::string_view, 2> kIndexTypes = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
};
constexpr std::array<absl::string_view, 2> kManifestTypes = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
};
constexpr std::array<absl::string_view, 6> kTarLayerTypes = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
};

template <size_t N>
bool IsOneOf(const Descriptor& descriptor, const std::array<absl::string_view, N>& types) {
  return std::find(types.begin(), types.end(), absl::string_view(descriptor.media_type)) != types.end();
}

}  // namespace

bool IsIndex(const Descriptor& descriptor) { return IsOneOf(descriptor, kIndexTypes); }
bool IsManifest(const Descriptor& descriptor) { return IsOneOf(descriptor, kManifestTypes); }
bool IsTarLayer(const Descriptor& descriptor) { return IsOneOf(descriptor, kTarLayerTypes); }

}  // namespace sluice
