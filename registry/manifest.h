// Image manifests and indexes (image-spec manifest.md, image-index.md; Docker manifest v2 schema 2 and its list).
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/descriptor.h"
#include "registry/platform.h"

namespace sluice {

// Largest manifest or index that is read, bytes; containerd's and most registries' own limit.
inline constexpr int64_t kMaxManifestBytes = 4 << 20;
// Largest index.json of a layout, which lists every image of a registry.
inline constexpr int64_t kMaxIndexBytes = 32 << 20;

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // base first
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
};

// Reads either by its shape: `media_type` may be empty (some stores do not keep it).
// InvalidArgument naming the field for what is not JSON, too deep, of schema 1, with a negative size, a bad digest, …
absl::StatusOr<std::variant<Manifest, Index>> ParseManifestOrIndex(absl::string_view json);

// The entries of `index` that can be for `platform`, best first: those whose platform matches, by PlatformScore, then
// those that do not say theirs (nested indexes, old tools: the image's config decides). Attestations
// ("unknown/unknown") and artifacts are left out; ties keep the order of the index.
std::vector<Descriptor> RankByPlatform(const Index& index, const Platform& platform);

// NotFound listing what platforms there are.
absl::Status NoSuchPlatform(const Index& index, const Platform& platform);

// The first of RankByPlatform, or NoSuchPlatform.
absl::StatusOr<Descriptor> SelectPlatform(const Index& index, const Platform& platform);

}  // namespace sluice
