// [containerd] content = "backfill": after each pull in which the snapshotter had a part, the blobs that containerd did
// not fetch are put into its content store, in the background.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "grpcpp/channel.h"
#include "snapshotter/fill/image_origin.h"
#include "snapshotter/fill/layer_sources.h"
#include "snapshotter/fill/lru_map.h"
#include "snapshotter/service/backfill/backfill_queue.h"
#include "snapshotter/service/backfill/image_backfill.h"
#include "snapshotter/service/backfill/unpacked_images.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/snapshotter.h"

namespace sluice {

// One blob at a time, on one thread of low priority, and none while a Prepare waits for its layer: not even a byte of
// one that has begun. What fails is tried again, ever less often. At the start every image that the snapshotter ever
// had a part in is looked at, so a daemon that was killed goes on where it stopped.
//
// Thread-safe; the two notes return at once.
class BackgroundBackfill {
 public:
  struct Options {
    std::shared_ptr<grpc::Channel> containerd;
    ContentStoreClient* store = nullptr;  // borrowed
    LayerSources::Options sources;
    OriginOptions origins;
    std::vector<std::string> snapshotters;  // the proxy names that have snapshots
  };

  explicit BackgroundBackfill(Options options);
  // Cuts short what is under way.
  ~BackgroundBackfill();
  BackgroundBackfill(const BackgroundBackfill&) = delete;
  BackgroundBackfill& operator=(const BackgroundBackfill&) = delete;

  // A Prepare that asks for a layer begins.
  void NotePrepareBegins();
  // It was answered.
  void NotePrepareEnds(const PrepareRequest& request, const absl::Status& answer);

  // Since it began.
  struct Totals {
    size_t places = 0;  // namespaces that are still to be looked at, by proxy name
    int64_t blobs = 0;  // brought to containerd
    int64_t bytes = 0;
  };
  Totals totals() const;

 private:
  struct Round {
    std::set<std::string> top_chain_ids;
    bool whole = true;
  };

  void Work();
  absl::StatusOr<Round> Look(const BackfillPlace& place);
  absl::Status FillImage(const UnpackedImages& images, const UnpackedImage& image);
  // Returns when no Prepare waits; Cancelled at the end.
  absl::Status AwaitQuiet();

  const std::shared_ptr<grpc::Channel> containerd_;
  ContentStoreClient& store_;
  LayerSources sources_;
  OriginFinder origins_;
  ImageBackfill backfill_;
  Cancellation stopping_;
  // Images that are whole; a manifest that comes back later is another one. Of the thread.
  using ImageKey = std::tuple<std::string, Digest, absl::Time>;
  LruMap<ImageKey, bool> whole_{1 << 16};

  mutable Mutex mutex_;
  CondVar changed_;
  int prepares_ SLUICE_GUARDED_BY(mutex_) = 0;  // under way
  BackfillQueue queue_ SLUICE_GUARDED_BY(mutex_);
  int64_t blobs_ SLUICE_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ SLUICE_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace sluice
