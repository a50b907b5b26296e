#include "snapshotter/fill/resolver.h"

#include <algorithm>
#include <optional>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/image_config.h"
#include "registry/manifest.h"

namespace sluice {
namespace {

constexpr char kConfigLabel[] = "containerd.io/gc.ref.content.config";
constexpr absl::string_view kChildManifestPrefix = "containerd.io/gc.ref.content.m.";

// Long enough for the Prepares of one pull, short enough for names and labels to be fresh at the next.
constexpr absl::Duration kPlanLifetime = absl::Seconds(30);
// Manifests with one and the same config: recompressed copies. More tell nothing new.
constexpr size_t kMaxManifestsPerConfig = 4;

std::optional<Digest> ConfigDigest(const ContentInfo& manifest) {
  auto label = manifest.labels.find(kConfigLabel);
  if (label == manifest.labels.end()) return std::nullopt;
  absl::StatusOr<Digest> digest = Digest::Parse(label->second);
  if (!digest.ok()) return std::nullopt;
  return *digest;
}

// The manifest itself, then the indexes that list it: what an image's name may point at.
std::vector<Digest> TargetsOf(const Digest& manifest, const std::vector<ContentInfo>& contents) {
  std::vector<Digest> targets = {manifest};
  const std::string text = manifest.ToString();
  for (const ContentInfo& content : contents) {
    const bool lists_it = absl::c_any_of(content.labels, [&](const auto& label) {
      return label.second == text && absl::StartsWith(label.first, kChildManifestPrefix);
    });
    if (lists_it) targets.push_back(content.digest);
  }
  return targets;
}

// The places of `chosen` and of the other manifests with its config.
std::vector<size_t> SameConfig(const std::vector<ContentInfo>& manifests, size_t chosen) {
  std::vector<size_t> places = {chosen};
  const std::optional<Digest> config_digest = ConfigDigest(manifests[chosen]);
  for (size_t i = 0; i < manifests.size(); ++i) {
    if (i != chosen && ConfigDigest(manifests[i]) == config_digest) places.push_back(i);
  }
  return places;
}

absl::StatusOr<std::vector<Descriptor>> ParseLayers(const std::string& document, const Digest& config_digest,
                                                    size_t layer_count) {
  auto parsed = ParseManifestOrIndex(document);
  if (!parsed.ok()) return parsed.status();
  const Manifest* manifest = std::get_if<Manifest>(&*parsed);
  if (manifest == nullptr || manifest->config.digest != config_digest || manifest->layers.size() != layer_count) {
    return absl::InvalidArgumentError("its layers do not match its config");
  }
  return manifest->layers;
}

absl::StatusOr<Plan> PlanFromLabels(const LayerRequest& request, const LayerHints& hints) {
  if (!hints.layer_digest.has_value()) return absl::NotFoundError("no label names the layer's blob");
  Plan plan;
  PlannedLayer layer;
  layer.chain_id = request.ref;
  layer.blobs.push_back({.digest = *hints.layer_digest, .size = std::nullopt});
  plan.layers.push_back(std::move(layer));
  if (hints.image.has_value()) plan.image = hints.image->ToString();
  return plan;
}

// A client names what it unpacks after its chainID; containerd puts "<namespace>/<sequence>/" before that.
bool IsNamedAfter(const Digest& chain_id, const std::string& name) {
  return absl::EndsWith(absl::StrCat("/", name), absl::StrCat("/", chain_id.ToString()));
}

// The plan comes from the image; the request says where containerd wants the layer. They must agree: else a ref that an
// image has injected would put its victim's layer, under the victim's name, on top of what the image likes.
absl::Status CheckParent(const Plan& plan, const LayerRequest& request) {
  if (!plan.from_config) return absl::OkStatus();
  if (request.has_parent != (plan.position > 0)) {
    return absl::FailedPreconditionError(absl::StrCat("layer ", plan.position, " of ", plan.layers.size(),
                                                      " was asked for ",
                                                      request.has_parent ? "over a parent" : "without its parent"));
  }
  if (!request.has_parent) return absl::OkStatus();
  const Digest& below = plan.layers[plan.position - 1].chain_id;
  if (request.parent_chain_id.has_value() && *request.parent_chain_id != below) {
    return absl::FailedPreconditionError(absl::StrCat("the parent is chain ", request.parent_chain_id->ToString(),
                                                      ", the image has ", below.ToString(), " there"));
  }
  if (!request.parent_chain_id.has_value() && !IsNamedAfter(below, request.parent)) {
    return absl::FailedPreconditionError(absl::StrCat("the parent ", request.parent,
                                                      " was unpacked by containerd under another name than ",
                                                      below.ToString(), ", which the image has there"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Plan> Resolver::Resolve(const LayerRequest& request) {
  const LayerHints hints = ParseLayerHints(request.labels);
  std::shared_ptr<const Plan> remembered = FindRemembered(request);
  if (remembered == nullptr) {
    auto found = PlanFromContentStore(request, hints);
    if (!found.ok()) {
      absl::StatusOr<Plan> from_labels = PlanFromLabels(request, hints);
      if (from_labels.ok()) return from_labels;
      return absl::NotFoundError(absl::StrCat("cannot tell which layer this is: ", found.status().message(), "; ",
                                              from_labels.status().message()));
    }
    remembered = *std::move(found);
  }
  Plan plan = *remembered;
  plan.position = static_cast<size_t>(
      absl::c_find_if(plan.layers, [&](const PlannedLayer& layer) { return layer.chain_id == request.ref; }) -
      plan.layers.begin());
  RETURN_IF_ERROR(CheckParent(plan, request));
  return plan;
}

absl::StatusOr<std::shared_ptr<const Plan>> Resolver::PlanFromContentStore(const LayerRequest& request,
                                                                           const LayerHints& hints) {
  if (content_store_ == nullptr) return absl::NotFoundError("no address of containerd is configured");
  const absl::Time deadline = absl::Now() + kTimeout;
  const std::string& containerd_namespace = request.containerd_namespace;
  auto manifests = content_store_->ListManifests(containerd_namespace, deadline);
  if (!manifests.ok()) return manifests.status();

  absl::Status unreadable;
  ASSIGN_OR_RETURN(std::vector<Match> matches, FindMatches(request, *manifests, deadline, unreadable));
  RankMatches(request, hints, *manifests, deadline, matches);
  for (const Match& match : matches) {
    auto plan = MakePlan(containerd_namespace, *manifests, match.manifest, *match.chain, hints, deadline);
    if (plan.ok()) {
      auto shared = std::make_shared<const Plan>(*std::move(plan));
      Remember(containerd_namespace, shared);
      return shared;
    }
    unreadable.Update(plan.status());
  }
  return absl::NotFoundError(absl::StrCat("no image in containerd's content store (namespace ", containerd_namespace,
                                          ") has the chain ", request.ref.ToString(),
                                          unreadable.ok() ? "" : absl::StrCat(" (", unreadable.message(), ")")));
}

absl::StatusOr<std::vector<Resolver::Match>> Resolver::FindMatches(const LayerRequest& request,
                                                                   const std::vector<ContentInfo>& manifests,
                                                                   absl::Time deadline, absl::Status& unreadable) {
  std::vector<Match> matches;
  for (size_t i = 0; i < manifests.size(); ++i) {
    const std::optional<Digest> config_digest = ConfigDigest(manifests[i]);
    if (!config_digest.has_value()) continue;
    auto chain = ReadChain(request.containerd_namespace, *config_digest, deadline);
    if (absl::IsDeadlineExceeded(chain.status()) || absl::IsUnavailable(chain.status())) {
      if (matches.empty()) return chain.status();
      break;
    }
    if (!chain.ok()) {
      unreadable.Update(chain.status());
    } else if (*chain != nullptr && absl::c_linear_search((*chain)->chain_ids, request.ref)) {
      matches.push_back({.manifest = i, .chain = *std::move(chain)});
    }
  }
  return matches;
}

void Resolver::RankMatches(const LayerRequest& request, const LayerHints& hints,
                           const std::vector<ContentInfo>& manifests, absl::Time deadline,
                           std::vector<Match>& matches) {
  if (matches.size() < 2) return;
  std::vector<std::pair<absl::Time, Match>> ranked;
  for (Match& match : matches) {
    const Digest& digest = manifests[match.manifest].digest;
    absl::Time time = absl::InfiniteFuture();
    if (hints.manifest_digest != digest) {
      time = content_store_->UpdatedAt(request.containerd_namespace, digest, deadline)
                 .value_or(manifests[match.manifest].created_at);
    }
    ranked.emplace_back(time, std::move(match));
  }
  absl::c_stable_sort(ranked, [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < matches.size(); ++i) matches[i] = std::move(ranked[i].second);
}

absl::StatusOr<std::shared_ptr<const Resolver::ImageChain>> Resolver::ReadChain(const std::string& containerd_namespace,
                                                                                const Digest& config_digest,
                                                                                absl::Time deadline) {
  {
    MutexLock lock(mutex_);
    if (auto* known = chains_.Find(config_digest)) return *known;
  }
  auto document = content_store_->ReadDocument(containerd_namespace, config_digest, kMaxConfigBytes, deadline);
  if (!document.ok()) return document.status();
  std::shared_ptr<ImageChain> chain;
  if (auto config = ParseImageConfig(*document); config.ok()) {
    chain = std::make_shared<ImageChain>();
    chain->chain_ids = ChainIds(config->diff_ids);
    chain->diff_ids = std::move(config->diff_ids);
  }
  MutexLock lock(mutex_);
  chains_.Insert(config_digest, chain);
  return chain;
}

absl::StatusOr<Plan> Resolver::MakePlan(const std::string& containerd_namespace,
                                        const std::vector<ContentInfo>& manifests, size_t chosen,
                                        const ImageChain& chain, const LayerHints& hints, absl::Time deadline) {
  Plan plan;
  plan.from_config = true;
  for (size_t i = 0; i < chain.diff_ids.size(); ++i) {
    plan.layers.push_back({.chain_id = chain.chain_ids[i], .diff_id = chain.diff_ids[i], .blobs = {}});
  }

  const Digest config_digest = *ConfigDigest(manifests[chosen]);
  size_t used = 0;
  absl::Status first_error;
  for (size_t i : SameConfig(manifests, chosen)) {
    if (used == kMaxManifestsPerConfig) break;
    auto document =
        content_store_->ReadDocument(containerd_namespace, manifests[i].digest, kMaxManifestBytes, deadline);
    auto layers = document.ok() ? ParseLayers(*document, config_digest, plan.layers.size())
                                : absl::StatusOr<std::vector<Descriptor>>(document.status());
    if (!layers.ok()) {
      first_error.Update(Annotate(layers.status(), absl::StrCat("manifest ", manifests[i].digest.ToString())));
      continue;
    }
    ++used;
    for (size_t k = 0; k < plan.layers.size(); ++k) {
      const Descriptor& layer = (*layers)[k];
      std::vector<PlannedBlob>& blobs = plan.layers[k].blobs;
      const bool known = absl::c_any_of(blobs, [&](const PlannedBlob& blob) { return blob.digest == layer.digest; });
      if (!known && IsTarLayer(layer)) blobs.push_back({.digest = layer.digest, .size = layer.size});
    }
  }
  if (used == 0) return first_error;

  // Names are for the log and for finding a port: doing without is no reason to fail.
  const std::vector<ImageRecord> images =
      content_store_->ListImages(containerd_namespace, deadline).value_or(std::vector<ImageRecord>());
  ImageOrigin origin =
      origins_.Find(TargetsOf(manifests[chosen].digest, manifests), manifests[chosen].labels, images, hints);
  plan.image = std::move(origin.image);
  plan.locality = origin.locality;
  plan.endpoints = std::move(origin.endpoints);
  return plan;
}

std::shared_ptr<const Plan> Resolver::FindRemembered(const LayerRequest& request) {
  MutexLock lock(mutex_);
  RememberedPlan* remembered = plans_.Find({request.containerd_namespace, request.ref});
  if (remembered == nullptr || remembered->expires < absl::Now()) return nullptr;
  return remembered->plan;
}

void Resolver::Remember(const std::string& containerd_namespace, const std::shared_ptr<const Plan>& plan) {
  const absl::Time expires = absl::Now() + kPlanLifetime;
  MutexLock lock(mutex_);
  for (const PlannedLayer& layer : plan->layers) {
    plans_.Insert({containerd_namespace, layer.chain_id}, {plan, expires});
  }
}

}  // namespace sluice
