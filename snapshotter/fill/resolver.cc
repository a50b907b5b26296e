#include "snapshotter/fill/resolver.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/manifest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/fill/layer_hints.h"
#include "snapshotter/fill/parallel_for.h"

namespace sluice {
namespace {

// Long enough for the Prepares of one pull, short enough for names and labels to be fresh at the next.
constexpr absl::Duration kPlanLifetime = absl::Seconds(30);
// Pulls that follow each other faster than this, with a layer in common, count as one.
constexpr absl::Duration kConfirmedLifetime = absl::Seconds(1);
// Manifests with one and the same config: recompressed copies. More tell nothing new.
constexpr size_t kMaxManifestsPerConfig = 4;
// Questions to containerd at once.
constexpr size_t kStatThreads = 8;
// Leased contents that are looked at: those of many pulls.
constexpr size_t kMaxStats = 1024;

std::optional<Digest> ConfigDigest(const ContentInfo& manifest) {
  auto label = manifest.labels.find(kConfigReferenceLabel);
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
      return label.second == text && absl::StartsWith(label.first, kManifestReferencePrefix);
    });
    if (lists_it) targets.push_back(content.digest);
  }
  return targets;
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

void AddBlob(const Descriptor& layer, std::vector<PlannedBlob>& blobs) {
  const bool known = absl::c_any_of(blobs, [&](const PlannedBlob& blob) { return blob.digest == layer.digest; });
  if (!known && IsTarLayer(layer)) blobs.push_back({.digest = layer.digest, .size = layer.size});
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

// False if the label says what the plan had to guess: it comes from another client than the plan, or from one whose
// configuration was mended meanwhile.
bool KnowsWhatIsTold(const Plan& plan, const LayerHints& hints) {
  if (!hints.image.has_value()) return true;
  const std::string& told = hints.image->host;
  bool was_guessed = false;
  for (const Endpoint& endpoint : plan.endpoints) {
    if (endpoint.repository != hints.image->repository) continue;
    if (endpoint.host == told) return true;
    was_guessed |= endpoint.port_is_guess && HostWithoutPort(endpoint.host) == HostWithoutPort(told);
  }
  return !was_guessed;
}

bool HasNoAnswer(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

}  // namespace

// One look into containerd's content store.
class Resolver::Search {
  // An image that has the wanted layer.
  struct Match {
    ContentInfo* manifest;
    std::shared_ptr<const ImageChain> chain;
  };

 public:
  Search(Resolver& resolver, const LayerRequest& request, const LayerHints& hints, absl::Time start)
      : resolver_(resolver),
        store_(*resolver.content_store_),
        request_(request),
        hints_(hints),
        search_deadline_(start + kSearchTimeout),
        deadline_(start + kTimeout) {}

  // `leased`: what is being pulled.
  absl::StatusOr<std::shared_ptr<const Plan>> Run(const std::vector<Digest>& leased) {
    ASSIGN_OR_RETURN(std::shared_ptr<const Plan> plan, FindPlan(Stat(leased)));
    if (plan == nullptr && hints_.manifest_digest.has_value()) {
      ASSIGN_OR_RETURN(plan, FindPlan(Stat({*hints_.manifest_digest})));
    }
    if (plan != nullptr) return plan;
    ASSIGN_OR_RETURN(std::vector<ContentInfo> all, store_.ListManifests(request_.containerd_namespace, deadline_));
    ASSIGN_OR_RETURN(plan, FindPlan(std::move(all)));
    if (plan != nullptr) return plan;
    return absl::NotFoundError(absl::StrCat("no image in containerd's content store (namespace ",
                                            request_.containerd_namespace, ") has the chain ", request_.ref.ToString(),
                                            unreadable_.ok() ? "" : absl::StrCat(" (", unreadable_.message(), ")")));
  }

 private:
  // What is known of each of `digests`, in their order; those that are gone are left out.
  std::vector<ContentInfo> Stat(const std::vector<Digest>& digests) {
    std::vector<absl::StatusOr<ContentInfo>> answers(std::min(digests.size(), kMaxStats));
    ParallelFor(answers.size(), kStatThreads, [&](size_t i) {
      answers[i] = store_.Stat(request_.containerd_namespace, digests[i], search_deadline_);
      return !HasNoAnswer(answers[i].status());
    });
    std::vector<ContentInfo> contents;
    for (absl::StatusOr<ContentInfo>& answer : answers) {
      if (answer.ok()) contents.push_back(*std::move(answer));
    }
    return contents;
  }

  // From the manifests among `contents`. Null if none has the layer; an error if containerd does not answer.
  absl::StatusOr<std::shared_ptr<const Plan>> FindPlan(std::vector<ContentInfo> contents) {
    contents_ = std::move(contents);
    std::vector<ContentInfo*> candidates;
    std::vector<Digest> configs;
    for (ContentInfo& content : contents_) {
      if (const std::optional<Digest> config = ConfigDigest(content); config.has_value()) {
        candidates.push_back(&content);
        configs.push_back(*config);
      }
    }
    ImageChains::Found found =
        resolver_.chains_.Find(request_.containerd_namespace, configs, request_.ref, search_deadline_);
    unreadable_.Update(found.unreadable);
    if (found.matches.empty()) RETURN_IF_ERROR(found.incomplete);
    std::vector<Match> matches;
    for (ImageChains::Match& match : found.matches) {
      matches.push_back({candidates[match.place], std::move(match.chain)});
    }
    const bool is_sure = Rank(matches) && found.incomplete.ok();
    for (const Match& match : matches) {
      absl::StatusOr<Plan> plan = MakePlan(*match.manifest, *match.chain);
      if (plan.ok()) {
        auto shared = std::make_shared<const Plan>(*std::move(plan));
        if (is_sure) resolver_.Remember(request_.containerd_namespace, shared, match.manifest->digest);
        return shared;
      }
      if (HasNoAnswer(plan.status())) return plan.status();
      unreadable_.Update(plan.status());
    }
    return nullptr;
  }

  // The one that a label names, then the one that was touched last. False if containerd did not say when each was.
  bool Rank(std::vector<Match>& matches) {
    if (matches.size() < 2) return true;
    std::atomic<bool> is_sure{true};
    ParallelFor(matches.size(), kStatThreads, [&](size_t i) {
      ContentInfo& manifest = *matches[i].manifest;
      if (manifest.updated_at.has_value()) return true;
      const absl::StatusOr<ContentInfo> content =
          store_.Stat(request_.containerd_namespace, manifest.digest, search_deadline_);
      if (HasNoAnswer(content.status())) is_sure = false;
      manifest.updated_at = content.ok() ? content->updated_at : manifest.created_at;
      return true;
    });
    absl::c_stable_sort(matches, [this](const Match& a, const Match& b) {
      const bool a_is_named = a.manifest->digest == hints_.manifest_digest;
      const bool b_is_named = b.manifest->digest == hints_.manifest_digest;
      if (a_is_named != b_is_named) return a_is_named;
      return a.manifest->updated_at > b.manifest->updated_at;
    });
    return is_sure;
  }

  absl::StatusOr<Plan> MakePlan(const ContentInfo& chosen, const ImageChain& chain) {
    Plan plan;
    plan.from_config = true;
    for (size_t i = 0; i < chain.diff_ids.size(); ++i) {
      plan.layers.push_back({.chain_id = chain.chain_ids[i], .diff_id = chain.diff_ids[i], .blobs = {}});
    }
    RETURN_IF_ERROR(AddBlobs(chosen, plan));

    // Names are for the log and for finding a port: doing without is no reason to fail.
    const std::vector<ImageRecord> images =
        store_.ListImages(request_.containerd_namespace, deadline_).value_or(std::vector<ImageRecord>());
    ImageOrigin origin = resolver_.origins_.Find(TargetsOf(chosen.digest, contents_), chosen.labels, images, hints_);
    plan.image = std::move(origin.image);
    plan.locality = origin.locality;
    plan.endpoints = std::move(origin.endpoints);
    return plan;
  }

  // Those of `chosen`, then those of the other manifests with its config.
  absl::Status AddBlobs(const ContentInfo& chosen, Plan& plan) {
    const std::optional<Digest> config = ConfigDigest(chosen);
    std::vector<Digest> copies = {chosen.digest};
    for (const ContentInfo& manifest : contents_) {
      if (&manifest != &chosen && ConfigDigest(manifest) == config) copies.push_back(manifest.digest);
    }
    size_t used = 0;
    absl::Status first_error;
    for (const Digest& manifest : copies) {
      if (used == kMaxManifestsPerConfig) break;
      absl::StatusOr<std::vector<Descriptor>> layers = ReadLayers(manifest, *config, plan.layers.size());
      if (!layers.ok()) {
        first_error.Update(layers.status());
        continue;
      }
      ++used;
      for (size_t k = 0; k < plan.layers.size(); ++k) AddBlob((*layers)[k], plan.layers[k].blobs);
    }
    return used == 0 ? first_error : absl::OkStatus();
  }

  absl::StatusOr<std::vector<Descriptor>> ReadLayers(const Digest& manifest, const Digest& config, size_t layer_count) {
    const absl::StatusOr<std::string> document =
        store_.ReadDocument(request_.containerd_namespace, manifest, kMaxManifestBytes, deadline_);
    absl::StatusOr<std::vector<Descriptor>> layers =
        document.ok() ? ParseLayers(*document, config, layer_count) : document.status();
    if (!layers.ok()) return Annotate(layers.status(), absl::StrCat("manifest ", manifest.ToString()));
    return layers;
  }

  Resolver& resolver_;
  ContentStore& store_;
  const LayerRequest& request_;
  const LayerHints& hints_;
  const absl::Time search_deadline_;
  const absl::Time deadline_;
  std::vector<ContentInfo> contents_;  // that FindPlan() looks at
  absl::Status unreadable_;
};

absl::StatusOr<Plan> Resolver::Resolve(const LayerRequest& request) {
  const LayerHints hints = ParseLayerHints(request.labels);
  absl::StatusOr<std::shared_ptr<const Plan>> found = FindPlan(request, hints);
  if (!found.ok()) {
    absl::StatusOr<Plan> from_labels = PlanFromLabels(request, hints);
    if (from_labels.ok()) return from_labels;
    const FallbackReason reason =
        HasNoAnswer(found.status()) ? FallbackReason::kUnreachable : FallbackReason::kUnknownImage;
    return WithReason(absl::NotFoundError(absl::StrCat("cannot tell which layer this is: ", found.status().message(),
                                                       "; ", from_labels.status().message())),
                      reason);
  }
  Plan plan = **found;
  plan.position = static_cast<size_t>(
      absl::c_find_if(plan.layers, [&](const PlannedLayer& layer) { return layer.chain_id == request.ref; }) -
      plan.layers.begin());
  RETURN_IF_ERROR(WithReason(CheckParent(plan, request), FallbackReason::kUnexpectedParent));
  return plan;
}

absl::StatusOr<std::shared_ptr<const Plan>> Resolver::FindPlan(const LayerRequest& request, const LayerHints& hints) {
  if (content_store_ == nullptr) return absl::NotFoundError("no address of containerd is configured");
  if (std::shared_ptr<const Plan> plan = FindConfirmed(request, hints)) return plan;
  const absl::Time start = absl::Now();
  const absl::StatusOr<std::vector<Digest>> answer =
      content_store_->ListLeased(request.containerd_namespace, start + kTimeout);
  const std::vector<Digest> leased = answer.value_or(std::vector<Digest>());
  if (std::shared_ptr<const Plan> plan = Confirm(request, hints, leased)) return plan;
  if (HasNoAnswer(answer.status())) return answer.status();
  return Search(*this, request, hints, start).Run(leased);
}

std::shared_ptr<const Plan> Resolver::FindConfirmed(const LayerRequest& request, const LayerHints& hints) {
  MutexLock lock(mutex_);
  const RememberedPlan* remembered = plans_.Find({request.containerd_namespace, request.ref});
  if (remembered == nullptr || remembered->confirmed < clock_()) return nullptr;
  if (!KnowsWhatIsTold(*remembered->plan, hints)) return nullptr;
  return remembered->plan;
}

std::shared_ptr<const Plan> Resolver::Confirm(const LayerRequest& request, const LayerHints& hints,
                                              const std::vector<Digest>& leased) {
  const absl::Time now = clock_();
  MutexLock lock(mutex_);
  RememberedPlan* remembered = plans_.Find({request.containerd_namespace, request.ref});
  if (remembered == nullptr || remembered->expires < now) return nullptr;
  if (!KnowsWhatIsTold(*remembered->plan, hints)) return nullptr;
  if (!leased.empty() && !absl::c_linear_search(leased, remembered->manifest)) return nullptr;
  remembered->confirmed = now + kConfirmedLifetime;
  return remembered->plan;
}

void Resolver::Remember(const std::string& containerd_namespace, const std::shared_ptr<const Plan>& plan,
                        const Digest& manifest) {
  const absl::Time now = clock_();
  const RememberedPlan remembered = {plan, manifest, now + kConfirmedLifetime, now + kPlanLifetime};
  MutexLock lock(mutex_);
  for (const PlannedLayer& layer : plan->layers) {
    plans_.Insert({containerd_namespace, layer.chain_id}, remembered);
  }
}

}  // namespace sluice
