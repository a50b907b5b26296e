#include "snapshotter/fill/image_layer_provider.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "snapshotter/fill/filler.h"
#include "snapshotter/fill/resolver.h"
#include "snapshotter/fill/worker_pool.h"

namespace sluice {
namespace {

// Resolving waits for containerd, for milliseconds if it is well; a few at once are plenty.
constexpr int kResolverThreads = 4;
// Layers above the wanted one that are filled ahead. overlayfs itself mounts no more than about 500.
constexpr size_t kMaxLayersAhead = 500;

std::vector<FillJob> JobsOf(const Plan& plan, const LayerRequest& request) {
  std::vector<FillJob> jobs;
  const size_t end = std::min(plan.layers.size(), plan.position + 1 + kMaxLayersAhead);
  for (size_t k = plan.position; k < end; ++k) {
    FillJob job;
    job.claim.chain_id = plan.layers[k].chain_id;
    job.claim.config_diff_id = plan.layers[k].diff_id;
    job.claim.has_parent = request.has_parent || k > plan.position;
    if (k == plan.position) job.claim.parent_chain_id = request.parent_chain_id;
    job.wanted.image = plan.image;
    job.wanted.containerd_namespace = request.containerd_namespace;
    job.wanted.blobs = plan.layers[k].blobs;
    job.wanted.locality = plan.locality;
    job.wanted.endpoints = plan.endpoints;
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// Unset when nobody has proven what is in them.
std::optional<std::vector<int64_t>> ProvenParents(const LayerRequest& request) {
  if (request.has_parent && !request.parent_chain_id.has_value()) return std::nullopt;
  return request.parent_directories;
}

ProvidedLayer Provided(LayerRecord record, FillLedger& ledger) {
  const std::optional<Strategy> strategy = ledger.Claim(record.id);
  ProvidedLayer provided{std::move(record)};
  if (strategy.has_value()) provided.strategy = std::string(StrategyName(*strategy));
  return provided;
}

class ImageLayerProvider : public LayerProvider {
 public:
  explicit ImageLayerProvider(LayerProviderOptions options)
      : directories_(*options.directories),
        ledger_(options.ledger),
        resolver_(options.content_store, {.locality = options.locality,
                                          .known_hosts = std::move(options.known_hosts),
                                          .hosts_dir = std::move(options.hosts_dir)}),
        sources_({.stores = std::move(options.stores),
                  .cache = options.cache,
                  .content_store = options.content_store,
                  .open_remote = NotingWhoServed(std::move(options.open_remote)),
                  .locality = options.locality,
                  .policies = std::move(options.policies)}),
        filler_(directories_, sources_,
                {.workers = options.workers,
                 .downloads = options.downloads,
                 .limits = options.limits,
                 .ledger = options.ledger}),
        resolvers_(kResolverThreads) {}

  ~ImageLayerProvider() override { stopping_.store(true); }

  void Provide(LayerRequest request, std::shared_ptr<Cancellation> cancellation, Done done) override {
    resolvers_.Submit(
        [this, request = std::move(request), cancellation = std::move(cancellation), done = std::move(done)]() mutable {
          if (stopping_.load() || (cancellation != nullptr && cancellation->cancelled())) {
            return done(absl::CancelledError("cancelled before it began"));
          }
          if (absl::Status status = Start(request, std::move(cancellation), done); !status.ok()) done(status);
        });
  }

 private:
  // Calls `done`, now or later, unless it returns an error.
  absl::Status Start(const LayerRequest& request, std::shared_ptr<Cancellation> cancellation, const Done& done) try {
    ASSIGN_OR_RETURN(const Plan plan, resolver_.Resolve(request));
    Filler::Request fill;
    fill.jobs = JobsOf(plan, request);
    fill.parent_directories = ProvenParents(request);
    ASSIGN_OR_RETURN(const std::optional<LayerRecord> present, FindPresent(plan.wanted()));
    if (!present.has_value()) {
      fill.cancellation = std::move(cancellation);
      fill.done = [done, ledger = ledger_](absl::StatusOr<LayerRecord> record) {
        if (!record.ok()) return done(record.status());
        done(Provided(*std::move(record), *ledger));
      };
      filler_.Fill(std::move(fill));
      return absl::OkStatus();
    }
    // It is there, but those above it may not be.
    if (fill.jobs.size() > 1) {
      fill.jobs.erase(fill.jobs.begin());
      if (fill.parent_directories.has_value()) {
        fill.parent_directories->insert(fill.parent_directories->begin(), present->id);
      }
      fill.done = [](const absl::StatusOr<LayerRecord>&) {};
      filler_.Fill(std::move(fill));
    }
    done(Provided(*present, *ledger_));
    return absl::OkStatus();
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("layer ", request.ref.ToString(), ": ", e.what()));
  }

  LayerSources::OpenRemote NotingWhoServed(LayerSources::OpenRemote open) {
    if (open == nullptr) return nullptr;
    return [this, open = std::move(open)](const Endpoint& endpoint, const PlannedBlob& blob, int64_t offset,
                                          const Cancellation* cancellation) {
      absl::StatusOr<std::unique_ptr<ByteReader>> reader = open(endpoint, blob, offset, cancellation);
      if (reader.ok()) resolver_.NoteServed(endpoint);
      return reader;
    };
  }

  // A config names the diffID, and hashes to the ref: a directory that was filled with that diffID is the layer.
  absl::StatusOr<std::optional<LayerRecord>> FindPresent(const PlannedLayer& layer) {
    if (!layer.diff_id.has_value()) return std::nullopt;
    return directories_.Find(*layer.diff_id, layer.chain_id);
  }

  LayerDirectories& directories_;
  const std::shared_ptr<FillLedger> ledger_;
  Resolver resolver_;
  LayerSources sources_;
  Filler filler_;
  std::atomic<bool> stopping_{false};
  WorkerPool resolvers_;  // last: its tasks use all of the above
};

}  // namespace

std::unique_ptr<LayerProvider> MakeLayerProvider(LayerProviderOptions options) {
  return std::make_unique<ImageLayerProvider>(std::move(options));
}

}  // namespace sluice
