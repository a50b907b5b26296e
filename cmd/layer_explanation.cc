#include "cmd/layer_explanation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

bool Offers(const LayerSources::Offers& offers, BlobSource source) {
  return std::any_of(offers.offers.begin(), offers.offers.end(),
                     [source](const LayerOffer& offer) { return offer.source == source; });
}

}  // namespace

ExplainedLayer ExplainLayer(const LayerWanted& wanted, const LayerSources::Offers& offers) {
  ExplainedLayer layer;
  for (const LayerOffer& offer : offers.offers) {
    layer.rungs.push_back(
        {std::string(StrategyName(offer.strategy)), offer.place, layer.rungs.empty() ? "" : "one before it will do"});
  }
  const auto absent = [&](const char* strategy, const std::string& reason) {
    layer.rungs.push_back({strategy, "", reason});
  };
  if (!Offers(offers, BlobSource::kStore)) {
    absent("layout",
           offers.rejection.ok() ? "no store on this host has the blob" : std::string(offers.rejection.message()));
  }
  if (!Offers(offers, BlobSource::kOwnCopy)) absent("cached", "the blob cache does not have it");
  const bool local = wanted.locality == Locality::kLocal;
  if (!Offers(offers, BlobSource::kLocalRegistry)) {
    absent("stream", local ? "registry.policy forbids it" : "the registry is remote: its layers go through the cache");
  }
  if (!Offers(offers, BlobSource::kRemoteRegistry)) {
    absent("cached", local ? "the registry is local: its layers are streamed" : "registry.policy forbids it");
  }
  if (offers.offers.empty()) {
    layer.taken = layer.rungs.size();
    layer.rungs.push_back({"defer", "containerd", ""});
  } else {
    layer.rungs.push_back({"defer", "containerd", "the last resort"});
    const BlobSource first = offers.offers[0].source;
    const bool network = first == BlobSource::kLocalRegistry || first == BlobSource::kRemoteRegistry;
    if (network) layer.bytes_to_move = wanted.blobs[0].size.value_or(0);
  }
  return layer;
}

Json ToJson(const ExplainedLayer& layer) {
  const ExplainedRung& taken = layer.rungs[layer.taken];
  Json json = {{"strategy", taken.strategy},
               {"source", taken.source},
               {"bytesToMove", layer.bytes_to_move},
               {"others", Json::array()}};
  for (size_t i = 0; i < layer.rungs.size(); ++i) {
    if (i == layer.taken) continue;
    const ExplainedRung& rung = layer.rungs[i];
    json["others"].push_back({{"strategy", rung.strategy}, {"source", rung.source}, {"reason", rung.reason}});
  }
  return json;
}

}  // namespace sluice
