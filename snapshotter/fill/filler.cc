#include "snapshotter/fill/filler.h"

#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/fill/worker_pool.h"

namespace sluice {
namespace {

// How often callers are looked at for having gone away.
constexpr std::chrono::milliseconds kWatchInterval(50);

}  // namespace

// A fill that labels alone suggested may fail where a proven one would not: they are not the same work.
Filler::Key Filler::KeyOf(const FillJob& job) { return {job.claim.chain_id, job.claim.config_diff_id.has_value()}; }

// One Request that has not been answered.
struct Filler::Waiter {
  Done done;
  std::shared_ptr<Cancellation> cancellation;
  std::vector<EntryPtr> entries;  // [0] is the one it waits for
  bool answered = false;
};

struct Filler::Entry {
  Entry(FillJob job, LayerDirectories& directories, LayerSources& sources, const Options& options)
      : key(KeyOf(job)),
        fill(std::make_unique<LayerFill>(std::move(job), directories, sources, *options.ledger, options.limits,
                                         cancellation)) {}

  const Key key;
  Cancellation cancellation;
  Phase phase = Phase::kReady;
  Lane lane = Lane::kHost;
  bool streamed = false;
  EntryPtr below;  // the layer under it, if that is being filled too
  std::optional<std::vector<int64_t>> parent_directories;
  int requests = 0;                   // unanswered ones that lead to this fill
  std::vector<WaiterPtr> waiters;     // of those, the ones that wait for it
  std::vector<EntryPtr> parked_here;  // fills that go on when this one is done
  std::optional<absl::StatusOr<LayerRecord>> result;
  std::unique_ptr<LayerFill> fill;  // borrows `cancellation`
};

Filler::Filler(LayerDirectories& directories, LayerSources& sources, const Options& options)
    : directories_(directories), sources_(sources), options_(options) {
  for (int i = 0; i < WorkerCount(options.workers); ++i) threads_.emplace_back([this] { Work(Lane::kHost); });
  for (int i = 0; i < options.downloads; ++i) threads_.emplace_back([this] { Work(Lane::kNetwork); });
  threads_.emplace_back([this] { Watch(); });
}

Filler::~Filler() {
  std::vector<WaiterPtr> abandoned;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (const auto& [key, entry] : entries_) entry->cancellation.Cancel();
    abandoned = std::move(waiters_);
    waiters_.clear();
    for (const WaiterPtr& waiter : abandoned) {
      waiter->answered = true;
      waiter->entries.clear();
    }
    work_.NotifyAll();
    waiting_.NotifyAll();
  }
  for (const WaiterPtr& waiter : abandoned) waiter->done(absl::CancelledError("the daemon is shutting down"));
  for (std::thread& thread : threads_) thread.join();
  // Entries refer to each other both ways while they are parked.
  for (const auto& [key, entry] : entries_) entry->parked_here.clear();
  for (const auto* ready : {&ready_, &downloads_}) {
    for (const EntryPtr& entry : *ready) entry->parked_here.clear();
  }
}

void Filler::Fill(Request request) {
  auto waiter = std::make_shared<Waiter>();
  waiter->done = std::move(request.done);
  waiter->cancellation = std::move(request.cancellation);
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      EntryPtr below;
      for (FillJob& job : request.jobs) {
        EntryPtr entry = Join(std::move(job), below);
        ++entry->requests;
        waiter->entries.push_back(entry);
        below = std::move(entry);
      }
      const EntryPtr& wanted = waiter->entries[0];
      wanted->waiters.push_back(waiter);
      if (request.parent_directories.has_value() && !wanted->parent_directories.has_value()) {
        wanted->parent_directories = std::move(request.parent_directories);
        if (wanted->phase == Phase::kParked) MakeReady(wanted);
      }
      waiters_.push_back(waiter);
      work_.NotifyAll();
      waiting_.NotifyOne();
      return;
    }
  }
  waiter->done(absl::CancelledError("the daemon is shutting down"));
}

bool Filler::HasFailed(const Entry& entry) { return entry.result.has_value() && !entry.result->ok(); }

// From now on whoever wants the layer begins anew.
void Filler::Forget(const EntryPtr& entry) {
  auto current = entries_.find(entry->key);
  if (current != entries_.end() && current->second == entry) entries_.erase(current);
}

Filler::EntryPtr Filler::Join(FillJob job, const EntryPtr& below) {
  const Key key = KeyOf(job);
  auto running = entries_.find(key);
  if (running != entries_.end() && !running->second->cancellation.cancelled()) {
    const EntryPtr& entry = running->second;
    if (entry->below == nullptr || HasFailed(*entry->below)) entry->below = below;
    return entry;
  }
  auto entry = std::make_shared<Entry>(std::move(job), directories_, sources_, options_);
  entry->below = below;
  entries_[key] = entry;
  ready_.push_back(entry);
  return entry;
}

void Filler::Work(Lane lane) {
  std::deque<EntryPtr>& ready = lane == Lane::kHost ? ready_ : downloads_;
  for (;;) {
    EntryPtr entry;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && ready.empty()) work_.Wait(mutex_);
      if (stopping_) return;
      entry = NextReady(ready);
      entry->phase = Phase::kRunning;
    }
    Run(entry);
  }
}

// What is nearly done goes first, then what somebody waits for, then what is filled ahead; each in the order of
// arrival, which within an image is base first.
Filler::EntryPtr Filler::NextReady(std::deque<EntryPtr>& ready) {
  auto rank = [](const EntryPtr& entry) {
    if (entry->streamed || entry->cancellation.cancelled()) return 0;
    return entry->waiters.empty() ? 2 : 1;
  };
  auto best = absl::c_min_element(ready, [&](const EntryPtr& a, const EntryPtr& b) { return rank(a) < rank(b); });
  EntryPtr entry = *best;
  ready.erase(best);
  return entry;
}

// A door for exceptions: std::bad_alloc in a fill must not end the daemon.
void Filler::Run(const EntryPtr& entry) {
  absl::StatusOr<std::optional<LayerRecord>> outcome = std::nullopt;
  try {
    outcome = Advance(entry);
  } catch (const std::exception& e) {
    outcome = absl::InternalError(absl::StrCat("fill of ", entry->key.first.ToString(), ": ", e.what()));
  }
  if (!outcome.ok()) return Complete(entry, outcome.status());
  if (outcome->has_value()) Complete(entry, **std::move(outcome));
}

// Nothing: the fill goes on later, when a worker for downloads is free or the layer it needs is done.
absl::StatusOr<std::optional<LayerRecord>> Filler::Advance(const EntryPtr& entry) {
  RETURN_IF_ERROR(entry->cancellation.Check());
  LayerFill& fill = *entry->fill;
  if (!entry->streamed) {
    ASSIGN_OR_RETURN(std::optional<LayerRecord> existing, fill.FindExisting());
    if (existing.has_value()) return existing;
    ASSIGN_OR_RETURN(const bool streamed, Stream(entry));
    if (!streamed) return std::nullopt;
  }
  std::vector<int64_t> parents;
  if (!fill.self_contained()) {
    MutexLock lock(mutex_);
    ASSIGN_OR_RETURN(std::optional<std::vector<int64_t>> directories, ParentsOrPark(entry));
    if (!directories.has_value()) return std::nullopt;
    parents = *std::move(directories);
  }
  RETURN_IF_ERROR(entry->cancellation.Check());
  return fill.Publish(parents);
}

absl::StatusOr<bool> Filler::Stream(const EntryPtr& entry) {
  if (entry->lane == Lane::kNetwork) {
    RETURN_IF_ERROR(entry->fill->StreamFromRegistry());
  } else {
    ASSIGN_OR_RETURN(const bool streamed, entry->fill->StreamFromThisHost());
    if (!streamed) {
      MutexLock lock(mutex_);
      entry->lane = Lane::kNetwork;
      MakeReady(entry);
      return false;
    }
  }
  MutexLock lock(mutex_);
  entry->lane = Lane::kHost;
  entry->streamed = true;
  return true;
}

absl::StatusOr<std::optional<std::vector<int64_t>>> Filler::ParentsOrPark(const EntryPtr& entry) {
  std::vector<int64_t> directories;
  for (const Entry* layer = entry.get();; layer = layer->below.get()) {
    if (layer->parent_directories.has_value()) {
      directories.insert(directories.end(), layer->parent_directories->begin(), layer->parent_directories->end());
      return directories;
    }
    const EntryPtr& below = layer->below;
    // Both failures are of those who have asked so far: the next one may know the directories below.
    if (below == nullptr) {
      Forget(entry);
      return WithReason(absl::FailedPreconditionError(
                            "the layer depends on layers below it that containerd unpacked, not this daemon"),
                        FallbackReason::kUnproven);
    }
    if (below->phase != Phase::kDone) {
      entry->phase = Phase::kParked;
      below->parked_here.push_back(entry);
      return std::nullopt;
    }
    if (HasFailed(*below)) {
      Forget(entry);
      const absl::Status& failure = below->result->status();
      return WithReason(absl::FailedPreconditionError(absl::StrCat("the layer depends on ", below->key.first.ToString(),
                                                                   " below it, which failed: ", failure.message())),
                        ReasonOf(failure));
    }
    directories.push_back((*below->result)->id);
  }
}

void Filler::MakeReady(const EntryPtr& entry) {
  entry->phase = Phase::kReady;
  (entry->lane == Lane::kHost ? ready_ : downloads_).push_back(entry);
  work_.NotifyAll();
}

void Filler::Complete(const EntryPtr& entry, absl::StatusOr<LayerRecord> result) {
  entry->fill.reset();  // deletes what was staged: before anybody hears of the end, and off the lock
  std::vector<WaiterPtr> answered;
  {
    MutexLock lock(mutex_);
    entry->phase = Phase::kDone;
    entry->result = result;
    Forget(entry);
    for (const EntryPtr& parked : entry->parked_here) {
      if (parked->phase == Phase::kParked) MakeReady(parked);
    }
    entry->parked_here.clear();
    answered = std::move(entry->waiters);
    entry->waiters.clear();
    std::erase_if(answered, [](const WaiterPtr& waiter) { return waiter->answered; });
    for (const WaiterPtr& waiter : answered) {
      waiter->answered = true;
      Release(*waiter, /*cancelled=*/false);
      std::erase(waiters_, waiter);
    }
  }
  for (const WaiterPtr& waiter : answered) waiter->done(result);
}

// What a request has started goes on after its answer: the client will ask for it next. If the client went away, only
// what another one has asked for goes on.
void Filler::Release(Waiter& waiter, bool cancelled) {
  for (const EntryPtr& entry : waiter.entries) {
    --entry->requests;
    if (!cancelled || entry->requests > 0 || entry->phase == Phase::kDone) continue;
    entry->cancellation.Cancel();
    if (entry->phase == Phase::kParked) MakeReady(entry);
  }
  waiter.entries.clear();
}

void Filler::Watch() {
  for (;;) {
    std::vector<WaiterPtr> cancelled;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && waiters_.empty()) waiting_.Wait(mutex_);
      if (stopping_) return;
      std::erase_if(waiters_, [&](const WaiterPtr& waiter) {
        if (waiter->cancellation == nullptr || !waiter->cancellation->cancelled()) return false;
        cancelled.push_back(waiter);
        return true;
      });
      for (const WaiterPtr& waiter : cancelled) {
        waiter->answered = true;
        std::erase(waiter->entries[0]->waiters, waiter);
        Release(*waiter, /*cancelled=*/true);
      }
    }
    for (const WaiterPtr& waiter : cancelled) waiter->done(absl::CancelledError("the caller went away"));
    MutexLock lock(mutex_);
    if (!stopping_) waiting_.WaitFor(mutex_, kWatchInterval);
  }
}

}  // namespace sluice
