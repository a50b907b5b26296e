// What the resolver found out about the layer that a snapshot.ref names, and about the image it belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "registry/locality.h"

namespace sluice {

struct PlannedBlob {
  Digest digest;
  std::optional<int64_t> size;  // unset if only a label spoke
};

struct PlannedLayer {
  Digest chain_id;
  // From a verified config whose diff_ids hash to the ref. Unset if only labels spoke: then nothing is known, and only
  // the diffID that a fill computes can prove the layer.
  std::optional<Digest> diff_id;
  // The blobs that may hold it, likeliest first: several when manifests with the same config compress it differently.
  // Empty when none of them is a tar that unpack/ reads.
  std::vector<PlannedBlob> blobs;
};

// Where the image can be had.
struct Endpoint {
  std::string host;  // with its port, as in Reference::host
  std::string repository;
  // `host` has no port, and nobody says that it needs none: containerd cuts ports off.
  bool port_is_guess = false;
  bool operator==(const Endpoint&) const = default;
};

struct Plan {
  std::vector<PlannedLayer> layers;  // base first; the whole image, or the one layer that labels named
  size_t position = 0;               // of the wanted layer in `layers`
  bool from_config = false;          // false: from labels alone
  std::string image;                 // for logs: a reference, or "host/repository@digest"; "" when nobody says
  Locality locality = Locality::kUnknown;
  std::vector<Endpoint> endpoints;

  const PlannedLayer& wanted() const { return layers[position]; }
};

}  // namespace sluice
