// From a snapshot.ref (a chainID) to a plan: which layer of which image it is, and which blob holds it (DESIGN §3.3).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/image_origin.h"
#include "snapshotter/fill/layer_hints.h"
#include "snapshotter/fill/lru_map.h"
#include "snapshotter/fill/plan.h"
#include "snapshotter/layer_provider.h"

namespace sluice {

// The first source is containerd's own content store: every client that offers the remote path has put manifest and
// config there, with their labels, before its first Prepare. A config commits to its chainIDs, so the one that gives
// the ref proves which diffID is meant. Labels only order the search; without a config in sight they are a last resort.
//
// Thread-safe. A call takes milliseconds (a List, and a Read per config not seen before) and at most kTimeout.
class Resolver {
 public:
  static constexpr absl::Duration kTimeout = absl::Seconds(2);

  // `content_store` is borrowed; null: labels only.
  Resolver(ContentStore* content_store, OriginFinder origins)
      : content_store_(content_store), origins_(std::move(origins)) {}

  // NotFound when neither a config nor a label tells which layer the ref is; FailedPrecondition when the config
  // contradicts the request's parent. Messages are reasons for the log, with their mend.
  absl::StatusOr<Plan> Resolve(const LayerRequest& request);

 private:
  struct ImageChain {
    std::vector<Digest> diff_ids;
    std::vector<Digest> chain_ids;
  };
  struct RememberedPlan {
    std::shared_ptr<const Plan> plan;
    absl::Time expires;
  };
  using PlanKey = std::pair<std::string, Digest>;  // namespace, ref

  // An image whose chain has the wanted layer.
  struct Match {
    size_t manifest;  // its place in the list
    std::shared_ptr<const ImageChain> chain;
  };

  absl::StatusOr<std::shared_ptr<const Plan>> PlanFromContentStore(const LayerRequest& request,
                                                                   const LayerHints& hints);
  // All of them; an error if containerd stops answering before there is one. `unreadable` gets what else went wrong.
  absl::StatusOr<std::vector<Match>> FindMatches(const LayerRequest& request, const std::vector<ContentInfo>& manifests,
                                                 absl::Time deadline, absl::Status& unreadable);
  // Puts the image that is being pulled first: the one that a label names, else the one touched last.
  void RankMatches(const LayerRequest& request, const LayerHints& hints, const std::vector<ContentInfo>& manifests,
                   absl::Time deadline, std::vector<Match>& matches);
  // Null for a config that is none (an artifact's), which is then remembered as such.
  absl::StatusOr<std::shared_ptr<const ImageChain>> ReadChain(const std::string& containerd_namespace,
                                                              const Digest& config_digest, absl::Time deadline);
  absl::StatusOr<Plan> MakePlan(const std::string& containerd_namespace, const std::vector<ContentInfo>& manifests,
                                size_t chosen, const ImageChain& chain, const LayerHints& hints, absl::Time deadline);
  std::shared_ptr<const Plan> FindRemembered(const LayerRequest& request);
  void Remember(const std::string& containerd_namespace, const std::shared_ptr<const Plan>& plan);

  ContentStore* const content_store_;
  const OriginFinder origins_;

  Mutex mutex_;
  // By config digest. Immutable facts: a config is verified against its digest.
  LruMap<Digest, std::shared_ptr<const ImageChain>> chains_ SLUICE_GUARDED_BY(mutex_){4096};
  LruMap<PlanKey, RememberedPlan> plans_ SLUICE_GUARDED_BY(mutex_){4096};
};

}  // namespace sluice
