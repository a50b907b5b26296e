// Image manifests and indexes (image-spec manifest.md, image-index.md; Docker manifest v2 schema 2 and its list).
#pragma once

#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/descriptor.h"
#include "registry/platform.h"

namespace sluice {

// Largest manifest or index that is read, bytes; containerd's and most registries' own limit.
inline constexpr int64_t kMaxManifestBytes = 4 << 20;

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

// The one entry of `index` for `platform`; attestations ("unknown/unknown") and artifacts are never chosen; ties go to
// the earlier entry. NotFound listing what there is.
absl::StatusOr<Descriptor> SelectPlatform(const Index& index, const Platform& platform);

}  // namespace sluice
