// How one layer would be got, way by way: the ladder of DESIGN §3.4, each rung with why it is taken or not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "registry/json.h"
#include "snapshotter/fill/layer_sources.h"

namespace sluice {

struct ExplainedRung {
  std::string strategy;  // "layout", "stream", "cached", "defer"
  std::string source;    // "store=/var/lib/registry kind=oci-layout"; "" for a way that is not there
  std::string reason;    // why it is not taken; "" for the one that is
};

struct ExplainedLayer {
  std::vector<ExplainedRung> rungs;  // as they would be tried; each way is in it, also those that are not there
  size_t taken = 0;                  // of `rungs`
  int64_t bytes_to_move = 0;         // over the network
};

// `offers`: what LayerSources::Find gave for `wanted`. Says what would be tried first; no byte of the blob has been
// read.
ExplainedLayer ExplainLayer(const LayerWanted& wanted, const LayerSources::Offers& offers);

Json ToJson(const ExplainedLayer& layer);

}  // namespace sluice
