// Fills layers, each once however many ask, on a bounded number of threads (DESIGN §3.5).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "snapshotter/fill/fill_ledger.h"
#include "snapshotter/fill/layer_fill.h"
#include "snapshotter/fill/layer_sources.h"
#include "snapshotter/layer_directories.h"
#include "unpack/layer.h"

namespace sluice {

// A fill needs the layers below only at its end, and waits for them without holding a worker; so one worker is enough
// for any chain. Downloads have workers of their own, so that a slow registry never delays what is on this host.
// Thread-safe; callbacks run on its threads, without locks.
class Filler {
 public:
  struct Options {
    int workers = 0;    // 0: as many as there are cores
    int downloads = 4;  // layers that are fetched and unpacked at once, beside those
    UnpackLimits limits;
    std::shared_ptr<FillLedger> ledger = std::make_shared<FillLedger>();  // default: one that nobody reads
  };

  using Done = std::function<void(absl::StatusOr<LayerRecord>)>;

  struct Request {
    // The wanted layer first, then those above it, in chain order: they are filled ahead.
    std::vector<FillJob> jobs;
    // The directories below the wanted layer, topmost first; unset if what is in them is not proven: then the layer
    // can be filled only if it does not depend on them, since others will share it.
    std::optional<std::vector<int64_t>> parent_directories;
    // Ends the wait for this request, with Cancelled, within 100 ms. Work that nobody else waits for stops.
    std::shared_ptr<Cancellation> cancellation;
    Done done;
  };

  // `directories` and `sources` are borrowed.
  Filler(LayerDirectories& directories, LayerSources& sources, const Options& options);
  // Cancels all fills, answers all requests with Cancelled, waits for its threads.
  ~Filler();

  // Returns at once; `request.done` is called exactly once. REQUIRES: at least one job.
  void Fill(Request request);

 private:
  enum class Phase { kReady, kRunning, kParked, kDone };
  struct Waiter;
  // A fill and who cares for it. Everything but `fill`, which belongs to the worker that runs it, is under mutex_.
  struct Entry;
  using Key = std::pair<Digest, bool>;  // chainID, known from a config
  using EntryPtr = std::shared_ptr<Entry>;
  using WaiterPtr = std::shared_ptr<Waiter>;

  static Key KeyOf(const FillJob& job);

  // What a fill does next is done here or over the network.
  enum class Lane { kHost, kNetwork };

  void Work(Lane lane);
  void Watch();
  void Run(const EntryPtr& entry);
  absl::StatusOr<std::optional<LayerRecord>> Advance(const EntryPtr& entry);
  // False: the fill waits for a worker that downloads.
  absl::StatusOr<bool> Stream(const EntryPtr& entry);
  void Complete(const EntryPtr& entry, absl::StatusOr<LayerRecord> result);
  EntryPtr NextReady(std::deque<EntryPtr>& ready) SLUICE_REQUIRES(mutex_);
  static bool HasFailed(const Entry& entry);
  void Forget(const EntryPtr& entry) SLUICE_REQUIRES(mutex_);
  EntryPtr Join(FillJob job, const EntryPtr& below) SLUICE_REQUIRES(mutex_);
  // The directories below `entry`. Nothing if they are not all there yet: the entry is then parked.
  absl::StatusOr<std::optional<std::vector<int64_t>>> ParentsOrPark(const EntryPtr& entry) SLUICE_REQUIRES(mutex_);
  void MakeReady(const EntryPtr& entry) SLUICE_REQUIRES(mutex_);
  void Release(Waiter& waiter, bool cancelled) SLUICE_REQUIRES(mutex_);

  LayerDirectories& directories_;
  LayerSources& sources_;
  const Options options_;

  Mutex mutex_;
  CondVar work_;     // ready_ or downloads_ grew, or stopping_
  CondVar waiting_;  // waiters_ is no longer empty, or stopping_
  bool stopping_ SLUICE_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<Key, EntryPtr> entries_ SLUICE_GUARDED_BY(mutex_);  // not done
  std::deque<EntryPtr> ready_ SLUICE_GUARDED_BY(mutex_);
  std::deque<EntryPtr> downloads_ SLUICE_GUARDED_BY(mutex_);  // ready, but for the network
  std::vector<WaiterPtr> waiters_ SLUICE_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace sluice
