// What the labels of a Prepare say about the layer (containerd pkg/snapshotters/annotations.go; stargz-snapshotter's
// own set; containerd 2.3's diff-id).
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/digest.h"
#include "registry/reference.h"

namespace sluice {

// Hostile: the author of an image can put any of these into a manifest's annotations. They may speed a search up; they
// are never proof, never a path and never an address to connect to.
struct LayerHints {
  std::optional<Reference> image;
  std::optional<Digest> manifest_digest;
  std::optional<Digest> layer_digest;  // of the blob
  std::optional<Digest> diff_id;
};

// What does not parse is as if it were not there.
LayerHints ParseLayerHints(const std::map<std::string, std::string>& labels);

}  // namespace sluice
