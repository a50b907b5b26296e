#include "snapshotter/service/backfill/backfill_queue.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace sluice {
namespace {

absl::Duration DelayAfter(int rounds) {
  absl::Duration delay = BackfillQueue::kFirstDelay;
  for (int i = 0; i < rounds && delay < BackfillQueue::kLastDelay; ++i) delay *= 2;
  return std::min(delay, BackfillQueue::kLastDelay);
}

}  // namespace

void BackfillQueue::Add(const BackfillPlace& place, absl::Time now) {
  Entry& entry = entries_[place];
  entry.rounds = 0;
  entry.due = now;
}

void BackfillQueue::NotePrepare(const BackfillPlace& place, absl::string_view parent, const std::string& chain_id,
                                bool provided, absl::Time now) {
  const auto known = entries_.find(place);
  if (known == entries_.end() && !provided) return;
  Entry& entry = known == entries_.end() ? entries_[place] : known->second;
  // Snapshots are named after their chainID, with something before it or behind.
  const size_t below =
      std::erase_if(entry.tips, [parent](const std::string& tip) { return absl::StrContains(parent, tip); });
  // Layers that a client unpacks itself may be the end of a pull, too.
  if (!provided && below == 0) return;
  entry.tips.insert(chain_id);
  entry.rounds = 0;
  entry.due = now + kFirstDelay;
}

std::optional<BackfillPlace> BackfillQueue::Due(absl::Time now) const {
  const auto first = std::min_element(entries_.begin(), entries_.end(),
                                      [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
  if (first == entries_.end() || first->second.due > now) return std::nullopt;
  return first->first;
}

absl::Time BackfillQueue::NextDue() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [place, entry] : entries_) next = std::min(next, entry.due);
  return next;
}

bool BackfillQueue::Done(const BackfillPlace& place, const std::set<std::string>& top_chain_ids, bool whole,
                         absl::Time now) {
  const auto found = entries_.find(place);
  if (found == entries_.end()) return true;
  Entry& entry = found->second;
  std::erase_if(entry.tips, [&](const std::string& tip) { return top_chain_ids.contains(tip); });
  ++entry.rounds;
  const bool done = whole && entry.tips.empty();
  if (done || entry.rounds == kMaxRounds) {
    entries_.erase(found);
    return done;
  }
  entry.due = now + DelayAfter(entry.rounds);
  return true;
}

void BackfillQueue::Postpone(const BackfillPlace& place, absl::Time now) {
  if (const auto found = entries_.find(place); found != entries_.end()) found->second.due = now + DelayAfter(3);
}

}  // namespace sluice
