// What the fills are doing and how layers were got since the daemon began: for `sluicectl status` and for metrics.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/byte_reader.h"
#include "base/histogram.h"
#include "base/mutex.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/fill/lru_map.h"
#include "snapshotter/fill/plan.h"
#include "snapshotter/fill/strategy.h"

namespace sluice {

// What a fill waits for, or does.
enum class FillStage {
  kQueued,             // for a worker
  kQueuedForDownload,  // for a worker that downloads
  kReading,            // its blob is read and unpacked
  kSettling,           // unpacked; waits for the layers below, then is put in place
};

// One fill that is under way.
struct FillInProgress {
  std::string image;  // "" when nobody says
  std::string digest;
  FillStage stage = FillStage::kQueued;
  Strategy strategy = Strategy::kDefer;  // kDefer until reading begins
  int64_t bytes = 0;                     // read of the blob
  std::optional<int64_t> total_bytes;
  absl::Time started;  // of reading; before that, of waiting
};

// A layer that was put in place.
struct FilledLayer {
  int64_t layer_id = 0;
  Strategy strategy = Strategy::kDefer;
  BlobSource source = BlobSource::kNone;
  int64_t bytes = 0;                           // of the blob
  absl::Duration busy = absl::ZeroDuration();  // spent working, not waiting for other layers
};

struct FillCount {
  int64_t layers = 0;
  int64_t bytes = 0;                           // of the blobs
  std::map<BlobSource, int64_t> source_bytes;  // the same, by where they were read
  DurationHistogram seconds;                   // FilledLayer::busy
};

// A way that was tried and did not hold.
struct FallbackCount {
  Strategy strategy = Strategy::kDefer;
  FallbackReason reason = FallbackReason::kInternal;
  int64_t count = 0;
  std::string last;  // the newest message, for people
};

// Thread-safe. Every note is a few instructions under one lock; bytes are counted without it.
class FillLedger {
 public:
  // One fill's page: what it says of itself. One thread at a time; its end ends the entry. Outlived by the ledger.
  class Page {
   public:
    ~Page();
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;

    void QueuedForDownload();
    // Reading begins, or begins anew by another way.
    void Reading(Strategy strategy, const PlannedBlob& blob);
    // The bytes of `reader` count as read. The page must outlive the result.
    std::unique_ptr<ByteReader> Metered(std::unique_ptr<ByteReader> reader);
    void Settling();
    // The way that was being tried did not hold.
    void GaveUp(Strategy strategy, const absl::Status& reason);
    void Filled(const FilledLayer& layer);

   private:
    friend class FillLedger;
    explicit Page(FillLedger& ledger) : ledger_(ledger) {}

    FillLedger& ledger_;
    std::atomic<int64_t> bytes_{0};
    FillInProgress facts_;  // but for bytes; under the ledger's mutex_
  };

  std::unique_ptr<Page> Begin(std::string image, const std::vector<PlannedBlob>& blobs);

  // How the layer was got, if it has been filled and nobody has asked this of it yet: whoever comes later finds a layer
  // that was there.
  std::optional<Strategy> Claim(int64_t layer_id);

  // Oldest first.
  std::vector<FillInProgress> InProgress() const;
  // How many there are; a stage without one is not in it.
  std::map<FillStage, int64_t> Stages() const;
  // By strategy; those that were never used are not in it.
  std::map<Strategy, FillCount> Filled() const;
  std::vector<FallbackCount> Fallbacks() const;

 private:
  static constexpr size_t kMaxUnclaimed = 1 << 14;

  mutable Mutex mutex_;
  std::vector<const Page*> pages_ SLUICE_GUARDED_BY(mutex_);  // in the order of Begin()
  std::map<Strategy, FillCount> filled_ SLUICE_GUARDED_BY(mutex_);
  std::map<std::pair<Strategy, FallbackReason>, FallbackTally> fallbacks_ SLUICE_GUARDED_BY(mutex_);
  // Of layers that Claim() was not called for. Those that are filled ahead of an abandoned pull are never claimed.
  LruMap<int64_t, std::optional<Strategy>> unclaimed_ SLUICE_GUARDED_BY(mutex_){kMaxUnclaimed};
};

}  // namespace sluice
