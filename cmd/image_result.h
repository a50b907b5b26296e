// The JSON that --json prints, as far as it is alike in several verbs. docs/cli.md explains every member, and
// sluicectl_docs_test holds both together; `schema` changes when a member changes its meaning or goes.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "registry/descriptor.h"
#include "registry/image_source.h"
#include "registry/json.h"

namespace sluice {

// The sum of the layers' blobs.
int64_t BlobBytes(const ResolvedImage& image);

// {"mediaType", "digest", "size"}.
Json DescriptorJson(const Descriptor& descriptor);

// What an image is: schema, reference, foundIn, platform, manifest, index (the one that the reference names; null if it
// names the manifest itself).
Json ImageJson(const ResolvedImage& image);

// What was done with a layer.
struct LayerResult {
  LayerOrigin origin;
  double seconds = 0;
};

// ImageJson() and layers, bytes, seconds. `layers`: as many as the image has.
Json ResultJson(const ResolvedImage& image, absl::Span<const LayerResult> layers, double seconds);

}  // namespace sluice
