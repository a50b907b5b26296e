// Which layers the image configs in containerd's content store commit to.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/lru_map.h"

namespace sluice {

struct ImageChain {
  std::vector<Digest> diff_ids;  // base first
  std::vector<Digest> chain_ids;
};

// A config is read once and then remembered, as far as kMaxLayers goes: it is verified against its digest, so what it
// says never changes. Thread-safe.
class ImageChains {
 public:
  // Of all remembered images together, about 64 bytes each: 30,000 images of 16 layers. With more than that in
  // containerd a search reads again what was pushed out.
  static constexpr size_t kMaxLayers = 1 << 19;

  // `content_store` is borrowed; null if nobody will search.
  explicit ImageChains(ContentStore* content_store, size_t max_layers = kMaxLayers)
      : content_store_(content_store), chains_(max_layers) {}

  struct Match {
    size_t place = 0;  // in `configs`
    std::shared_ptr<const ImageChain> chain;
  };
  struct Found {
    std::vector<Match> matches;  // in the order of `configs`
    absl::Status unreadable;     // what went wrong with the first config that could not be read
    // Why some were not even tried: Unavailable, or DeadlineExceeded saying how many.
    absl::Status incomplete;
  };

  // Those of `configs` whose chain has `chain_id`. Reads what is not known, first things first, several at a time; one
  // long search at a time, because the next would read the same. What is no image's config (an artifact's; too large;
  // more layers than overlayfs mounts) matches nothing.
  Found Find(const std::string& containerd_namespace, absl::Span<const Digest> configs, const Digest& chain_id,
             absl::Time deadline);

 private:
  using Chain = std::shared_ptr<const ImageChain>;  // null: no image's config
  class Search;
  class Turn;

  // Unset if it was not read yet.
  std::optional<Chain> Remembered(const Digest& config);
  absl::StatusOr<Chain> Read(const std::string& containerd_namespace, const Digest& config, absl::Time deadline);

  ContentStore* const content_store_;
  Mutex mutex_;
  CondVar turn_ended_;
  bool turn_taken_ SLUICE_GUARDED_BY(mutex_) = false;
  LruMap<Digest, Chain> chains_ SLUICE_GUARDED_BY(mutex_);  // by config; weight: layers
};

}  // namespace sluice
