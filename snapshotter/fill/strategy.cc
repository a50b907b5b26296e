#include "snapshotter/fill/strategy.h"

namespace sluice {

namespace {

bool IsAllowed(const AllowedStrategies& allowed, Strategy strategy) {
  switch (strategy) {
    case Strategy::kLayout:
      return allowed.layout;
    case Strategy::kStream:
      return allowed.stream;
    case Strategy::kCached:
      return allowed.cached;
    case Strategy::kDefer:
      break;
  }
  return true;
}

}  // namespace

std::vector<Rung> StrategyLadder(const LayerSituation& situation) {
  std::vector<Rung> ladder;
  const auto add = [&](bool possible, Strategy strategy, BlobSource source) {
    if (possible && IsAllowed(situation.allowed, strategy)) ladder.push_back({strategy, source});
  };
  if (situation.plan_known) {
    // An image of unknown origin with a hit in a registry's store came from that registry.
    const bool store_is_its_registry = situation.locality != Locality::kRemote;
    add(situation.in_store, store_is_its_registry ? Strategy::kLayout : Strategy::kCached, BlobSource::kStore);
    add(situation.in_own_copy, Strategy::kCached, BlobSource::kOwnCopy);
    add(situation.local_endpoint, situation.allowed.stream ? Strategy::kStream : Strategy::kCached,
        BlobSource::kLocalRegistry);
    add(situation.remote_endpoint, situation.allowed.cached ? Strategy::kCached : Strategy::kStream,
        BlobSource::kRemoteRegistry);
  }
  ladder.push_back({Strategy::kDefer, BlobSource::kNone});
  return ladder;
}

absl::string_view StrategyName(Strategy strategy) {
  switch (strategy) {
    case Strategy::kLayout:
      return "layout";
    case Strategy::kStream:
      return "stream";
    case Strategy::kCached:
      return "cached";
    case Strategy::kDefer:
      break;
  }
  return "defer";
}

absl::string_view BlobSourceName(BlobSource source) {
  switch (source) {
    case BlobSource::kStore:
      return "store";
    case BlobSource::kOwnCopy:
      return "own_copy";
    case BlobSource::kLocalRegistry:
      return "local_registry";
    case BlobSource::kRemoteRegistry:
      return "remote_registry";
    case BlobSource::kNone:
      break;
  }
  return "none";
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
