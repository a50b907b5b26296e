#include "snapshotter/fill/image_chains.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "registry/image_config.h"
#include "snapshotter/fill/parallel_for.h"

namespace sluice {
namespace {

// Reads that wait for containerd at once. More gain nothing, and a hostile config takes its memory while it is parsed.
constexpr size_t kReaders = 8;
// overlayfs mounts no more layers (OVL_MAX_STACK).
constexpr size_t kMaxLayersOfImage = 500;

bool HasNoAnswer(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

// Null if it is none that can be mounted.
std::shared_ptr<const ImageChain> ParseChain(const std::string& document) {
  absl::StatusOr<ImageConfig> config = ParseImageConfig(document);
  if (!config.ok() || config->diff_ids.size() > kMaxLayersOfImage) return nullptr;
  auto chain = std::make_shared<ImageChain>();
  chain->chain_ids = ChainIds(config->diff_ids);
  chain->diff_ids = std::move(config->diff_ids);
  return chain;
}

}  // namespace

// What a search that reads more than a few configs waits for.
class ImageChains::Turn {
 public:
  // At `deadline` without it.
  Turn(ImageChains& chains, absl::Time deadline) : chains_(chains) {
    MutexLock lock(chains_.mutex_);
    while (chains_.turn_taken_) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return;
      chains_.turn_ended_.WaitFor(chains_.mutex_, absl::ToChronoNanoseconds(left));
    }
    chains_.turn_taken_ = taken_ = true;
  }
  ~Turn() {
    if (!taken_) return;
    MutexLock lock(chains_.mutex_);
    chains_.turn_taken_ = false;
    chains_.turn_ended_.NotifyAll();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  ImageChains& chains_;
  bool taken_ = false;
};

// One call of Find().
class ImageChains::Search {
 public:
  Search(ImageChains& chains, const std::string& containerd_namespace, absl::Span<const Digest> configs,
         const Digest& chain_id, absl::Time deadline)
      : chains_(chains),
        namespace_(containerd_namespace),
        configs_(configs),
        chain_id_(chain_id),
        deadline_(deadline) {}

  Found Run() {
    LookUp();
    if (unknown_.size() <= kReaders) {
      ReadUnknown();
    } else {
      const Turn turn(chains_, deadline_);
      LookUp();
      ReadUnknown();
    }
    for (size_t i = 0; i < configs_.size(); ++i) {
      if (auto match = matching_.find(configs_[i]); match != matching_.end()) {
        found_.matches.push_back({.place = i, .chain = match->second});
      }
    }
    return std::move(found_);
  }

 private:
  void LookUp() {
    unknown_.clear();
    absl::flat_hash_set<Digest> seen;
    for (const Digest& config : configs_) {
      if (!seen.insert(config).second) continue;
      if (const std::optional<Chain> chain = chains_.Remembered(config); chain.has_value()) {
        Note(config, *chain);
      } else {
        unknown_.push_back(config);
      }
    }
  }

  void ReadUnknown() {
    size_t answers = 0;
    ParallelFor(unknown_.size(), kReaders, [&](size_t i) {
      const absl::StatusOr<Chain> chain = chains_.Read(namespace_, unknown_[i], deadline_);
      MutexLock lock(mutex_);
      if (HasNoAnswer(chain.status())) {
        found_.incomplete.Update(chain.status());
        return false;
      }
      ++answers;
      found_.unreadable.Update(chain.status());
      if (chain.ok()) Note(unknown_[i], *chain);
      return true;
    });
    if (absl::IsDeadlineExceeded(found_.incomplete)) {
      found_.incomplete = absl::DeadlineExceededError(
          absl::StrCat("containerd gave ", answers, " of ", unknown_.size(), " image configs in time"));
    }
  }

  // Kept here, too: in a search through very many images the memory of all may have lost it by the end.
  void Note(const Digest& config, const Chain& chain) {
    if (chain != nullptr && absl::c_linear_search(chain->chain_ids, chain_id_)) matching_[config] = chain;
  }

  ImageChains& chains_;
  const std::string& namespace_;
  const absl::Span<const Digest> configs_;
  const Digest& chain_id_;
  const absl::Time deadline_;
  std::vector<Digest> unknown_;
  Mutex mutex_;  // of the following, while ReadUnknown() runs
  absl::flat_hash_map<Digest, Chain> matching_;
  Found found_;
};

ImageChains::Found ImageChains::Find(const std::string& containerd_namespace, absl::Span<const Digest> configs,
                                     const Digest& chain_id, absl::Time deadline) {
  return Search(*this, containerd_namespace, configs, chain_id, deadline).Run();
}

std::optional<ImageChains::Chain> ImageChains::Remembered(const Digest& config) {
  MutexLock lock(mutex_);
  const Chain* chain = chains_.Find(config);
  return chain == nullptr ? std::nullopt : std::make_optional(*chain);
}

absl::StatusOr<ImageChains::Chain> ImageChains::Read(const std::string& containerd_namespace, const Digest& config,
                                                     absl::Time deadline) {
  if (absl::Now() >= deadline) return absl::DeadlineExceededError("no time left");
  const absl::StatusOr<std::string> document =
      content_store_->ReadDocument(containerd_namespace, config, kMaxConfigBytes, deadline);
  // One that is too large will never be smaller.
  if (!document.ok() && !absl::IsResourceExhausted(document.status())) return document.status();
  const Chain chain = document.ok() ? ParseChain(*document) : nullptr;
  MutexLock lock(mutex_);
  chains_.Insert(config, chain, chain == nullptr ? 1 : std::max<size_t>(chain->diff_ids.size(), 1));
  return chain;
}

}  // namespace sluice
