// From a snapshot.ref (a chainID) to a plan: which layer of which image it is, and which blob holds it (DESIGN §3.3).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/image_chains.h"
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
// Many images can have one layer; the one that is being pulled is wanted, for its upper layers and its registry. It is
// told, in this order, by
//  1. the leases of unfinished work, in which a pull keeps the documents it fetches, also those that were there;
//  2. the manifest that a label names;
//  3. when its manifest was touched last, of all images that have the layer. This takes a List, a Read of every config
//     that was not seen before, and a question for each image that has the layer. Where the answers do not come within
//     kSearchTimeout, the newest images, which are read first, must do: such a plan is not remembered, and the next
//     call reads on.
// 1 and 2 look at these documents alone, however many images there are: recompressed copies of the image, which may
// have its layers in other blobs, and indexes that give it a name are then known only if they are among them.
//
// Thread-safe. A call takes milliseconds, the third way more where there are thousands of images; at most kTimeout.
class Resolver {
 public:
  static constexpr absl::Duration kTimeout = absl::Seconds(2);
  static constexpr absl::Duration kSearchTimeout = absl::Milliseconds(1500);

  using Clock = std::function<absl::Time()>;

  // `content_store` is borrowed; null: labels only. `clock` says when a remembered plan is too old.
  Resolver(ContentStore* content_store, OriginOptions origins, Clock clock = absl::Now)
      : content_store_(content_store), origins_(std::move(origins)), clock_(std::move(clock)), chains_(content_store) {}

  // NotFound when neither a config nor a label tells which layer the ref is; FailedPrecondition when the config
  // contradicts the request's parent. Messages are reasons for the log, with their mend.
  absl::StatusOr<Plan> Resolve(const LayerRequest& request);

  // A registry gave a blob: it is asked early for other images of its host.
  void NoteServed(const Endpoint& endpoint) { origins_.NoteServed(endpoint); }

 private:
  struct RememberedPlan {
    std::shared_ptr<const Plan> plan;
    Digest manifest;
    absl::Time confirmed;  // until then nobody is asked
    absl::Time expires;
  };
  using PlanKey = std::pair<std::string, Digest>;  // namespace, ref
  class Search;

  absl::StatusOr<std::shared_ptr<const Plan>> FindPlan(const LayerRequest& request, const LayerHints& hints);
  // Null if there is none that holds. It does for a moment; then as long as `leased`, what is being pulled, is not for
  // other images only; and never where it had to guess the port that `hints` name.
  std::shared_ptr<const Plan> FindConfirmed(const LayerRequest& request, const LayerHints& hints);
  std::shared_ptr<const Plan> Confirm(const LayerRequest& request, const LayerHints& hints,
                                      const std::vector<Digest>& leased);
  void Remember(const std::string& containerd_namespace, const std::shared_ptr<const Plan>& plan,
                const Digest& manifest);

  ContentStore* const content_store_;
  OriginFinder origins_;
  const Clock clock_;
  ImageChains chains_;

  Mutex mutex_;
  LruMap<PlanKey, RememberedPlan> plans_ SLUICE_GUARDED_BY(mutex_){4096};
};

}  // namespace sluice
