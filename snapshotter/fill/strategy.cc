#include "snapshotter/fill/strategy.h"

namespace sluice {

std::vector<Rung> StrategyLadder(const LayerSituation& situation) {
  std::vector<Rung> ladder;
  if (situation.plan_known) {
    // An image of unknown origin with a hit in a registry's store came from that registry.
    const bool store_is_its_registry = situation.locality != Locality::kRemote;
    if (situation.in_store) {
      ladder.push_back({store_is_its_registry ? Strategy::kLayout : Strategy::kCached, BlobSource::kStore});
    }
    if (situation.in_own_copy) ladder.push_back({Strategy::kCached, BlobSource::kOwnCopy});
    if (situation.endpoint_known) {
      const bool local = situation.locality == Locality::kLocal;
      ladder.push_back({local ? Strategy::kStream : Strategy::kCached, BlobSource::kRegistry});
    }
  }
  ladder.push_back({Strategy::kDefer, BlobSource::kNone});
  return ladder;
}

absl::string_view LogPhrase(Strategy strategy) {
  switch (strategy) {
    case Strategy::kLayout:
      return "using streaming unpack from layout for local registry image";
    case Strategy::kStream:
      return "using streaming unpack for local registry image";
    case Strategy::kCached:
      return "using cached unpack";
    case Strategy::kDefer:
      break;
  }
  return "deferring to containerd";
}

}  // namespace sluice
