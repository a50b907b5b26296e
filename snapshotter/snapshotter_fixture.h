// A Snapshotter on real directories and a real database, for its tests; only the provider of layers is scripted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/janitor.h"
#include "snapshotter/layer_provider.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/path_layout.h"
#include "snapshotter/pending_prepare.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/snapshot_tree.h"
#include "snapshotter/snapshotter.h"
#include "snapshotter/spare_directories.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Answers as the test says; without a script, that there is no layer.
class ScriptedProvider : public LayerProvider {
 public:
  using Script = std::function<void(LayerRequest, std::shared_ptr<Cancellation>, Done)>;

  void Provide(LayerRequest request, std::shared_ptr<Cancellation> cancellation, Done done) override {
    Script script;
    {
      const MutexLock lock(mutex_);
      requests_.push_back(request);
      script = script_;
    }
    if (script) return script(std::move(request), std::move(cancellation), std::move(done));
    done(absl::NotFoundError("no source has it"));
  }

  void Set(Script script) {
    const MutexLock lock(mutex_);
    script_ = std::move(script);
  }
  std::vector<LayerRequest> requests() {
    const MutexLock lock(mutex_);
    return requests_;
  }

 private:
  Mutex mutex_;
  Script script_ SLUICE_GUARDED_BY(mutex_);
  std::vector<LayerRequest> requests_ SLUICE_GUARDED_BY(mutex_);
};

// A clock that moves when it is told to.
class ManualClock {
 public:
  absl::Time Now() {
    const MutexLock lock(mutex_);
    return now_;
  }
  void Advance(absl::Duration by) {
    const MutexLock lock(mutex_);
    now_ += by;
  }

 private:
  Mutex mutex_;
  absl::Time now_ SLUICE_GUARDED_BY(mutex_) = absl::FromUnixNanos(1'700'000'000'123'456'789);
};

// The answer of a PendingPrepare, waited for.
class PrepareResult {
 public:
  explicit PrepareResult(PrepareLedger* ledger = nullptr)
      : call_(std::make_shared<PendingPrepare>(
            [this](absl::StatusOr<std::vector<Mount>> mounts) {
              const MutexLock lock(mutex_);
              mounts_ = std::move(mounts);
              ++answers_;
              answered_.NotifyAll();
            },
            ledger)) {}

  const std::shared_ptr<PendingPrepare>& call() const { return call_; }

  absl::StatusOr<std::vector<Mount>> Wait() {
    const MutexLock lock(mutex_);
    while (answers_ == 0) answered_.Wait(mutex_);
    return mounts_;
  }
  int answers() {
    const MutexLock lock(mutex_);
    return answers_;
  }

 private:
  Mutex mutex_;
  CondVar answered_;
  int answers_ SLUICE_GUARDED_BY(mutex_) = 0;
  absl::StatusOr<std::vector<Mount>> mounts_ SLUICE_GUARDED_BY(mutex_) = absl::UnknownError("not answered");
  std::shared_ptr<PendingPrepare> call_;
};

class SnapshotterFixture {
 public:
  enum class Spares { kNone, kMadeAhead };
  // With spares nobody knows which number the next directory has.
  explicit SnapshotterFixture(Spares spares = Spares::kNone) : wants_spares_(spares == Spares::kMadeAhead) { Start(); }
  ~SnapshotterFixture() { Stop(); }

  void Start() {
    tree_ = SnapshotTree::Open(PathLayout::ForRoot(dir_.At("root")).value()).value();
    metadata_ = MetadataStore::Open(tree_->layout().DatabasePath()).value();
    LayerStoreOptions options;
    options.now = [this] { return clock_.Now(); };
    layers_ = LayerStore::Open(*tree_, *metadata_, options).value();
    janitor_ = std::make_unique<Janitor>(*tree_, *layers_);
    quick_ = std::make_unique<WorkerPool>(2);
    walks_ = std::make_unique<WorkerPool>(1);
    SnapshotterParts parts;
    parts.tree = tree_.get();
    parts.metadata = metadata_.get();
    parts.layers = layers_.get();
    parts.janitor = janitor_.get();
    parts.provider = &provider_;
    parts.quick = quick_.get();
    parts.walks = walks_.get();
    if (wants_spares_) spares_ = std::make_unique<SpareDirectories>(*tree_, *metadata_);
    parts.spares = spares_.get();
    parts.ledger = &ledger_;
    parts.now = [this] { return clock_.Now(); };
    snapshotter_ = std::make_unique<Snapshotter>(parts);
  }

  void Stop() {
    if (snapshotter_ == nullptr) return;
    snapshotter_->Shutdown();
    walks_.reset();
    quick_.reset();
    snapshotter_.reset();
    spares_.reset();
    janitor_.reset();
    layers_.reset();
    metadata_.reset();
    tree_.reset();
  }

  Snapshotter& operator*() { return *snapshotter_; }
  Snapshotter* operator->() { return snapshotter_.get(); }
  SnapshotTree& tree() { return *tree_; }
  MetadataStore& metadata() { return *metadata_; }
  LayerStore& layers() { return *layers_; }
  Janitor& janitor() { return *janitor_; }
  ScriptedProvider& provider() { return provider_; }
  ManualClock& clock() { return clock_; }
  PrepareLedger& ledger() { return ledger_; }
  std::string Path(absl::string_view name) const { return dir_.At(absl::StrCat("root/", name)); }

  absl::StatusOr<std::vector<Mount>> Prepare(const std::string& key, const std::string& parent = "",
                                             const Labels& labels = {}, const std::string& snapshotter = "sluice") {
    PrepareResult result(&ledger_);
    snapshotter_->Prepare({snapshotter, key, parent, labels}, result.call());
    return result.Wait();
  }
  // A committed snapshot made as a client makes it.
  absl::Status MakeCommitted(const std::string& name, const std::string& parent = "", const Labels& labels = {}) {
    const absl::StatusOr<std::vector<Mount>> mounts = Prepare("making-" + name, parent);
    if (!mounts.ok()) return mounts.status();
    return snapshotter_->Commit("sluice", name, "making-" + name, labels);
  }
  // A filled layer, as the filler publishes it.
  absl::StatusOr<LayerRecord> PublishLayer(const std::string& content) {
    absl::StatusOr<std::unique_ptr<StagedLayer>> staged = layers_->Stage();
    if (!staged.ok()) return staged.status();
    LayerFacts facts;
    facts.diff_id = Digest::Of(content);
    facts.blob_digest = Digest::Of(content + ".gz");
    facts.blob_bytes = 10;
    facts.tar_bytes = 20;
    facts.usage_bytes = 8192;
    facts.usage_inodes = 3;
    return layers_->Publish(*std::move(staged), facts);
  }
  // The provider gives a layer of this content to everybody.
  void ProvideLayer(const std::string& content) {
    provider_.Set(
        [this, content](const LayerRequest&, const std::shared_ptr<Cancellation>&, const LayerProvider::Done& done) {
          absl::StatusOr<LayerRecord> layer = PublishLayer(content);
          if (!layer.ok()) return done(layer.status());
          done(ProvidedLayer{*std::move(layer)});
        });
  }

 private:
  const bool wants_spares_;
  TempDir dir_{TempDir::Place::kMemory};
  ManualClock clock_;
  PrepareLedger ledger_;
  ScriptedProvider provider_;
  std::unique_ptr<SnapshotTree> tree_;
  std::unique_ptr<MetadataStore> metadata_;
  std::unique_ptr<LayerStore> layers_;
  std::unique_ptr<Janitor> janitor_;
  std::unique_ptr<SpareDirectories> spares_;
  std::unique_ptr<WorkerPool> quick_;
  std::unique_ptr<WorkerPool> walks_;
  std::unique_ptr<Snapshotter> snapshotter_;
};

}  // namespace sluice::testing
