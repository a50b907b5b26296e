// What a background backfill has to look at, and when: after each pull in which the snapshotter had a part, until the
// image of that pull is there and whole.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

// Where images are looked for. An empty namespace stands for all of them.
struct BackfillPlace {
  std::string containerd_namespace;
  std::string snapshotter;
  auto operator<=>(const BackfillPlace&) const = default;
};

// A pull says nothing when it is over. But the chainID of its last layer is then the top of an image: until one has it,
// the place is looked at again, each time after twice the time, and at last given up. One thread at a time.
class BackfillQueue {
 public:
  static constexpr absl::Duration kFirstDelay = absl::Seconds(1);
  static constexpr absl::Duration kLastDelay = absl::Minutes(10);
  static constexpr int kMaxRounds = 16;  // without a Prepare in between: an hour and a quarter

  // To be looked at once, at `now`.
  void Add(const BackfillPlace& place, absl::Time now);

  // A Prepare for the layer `chain_id` over the snapshot `parent` ("" for none) was answered. `provided`: the client
  // won't fetch the blob.
  void NotePrepare(const BackfillPlace& place, absl::string_view parent, const std::string& chain_id, bool provided,
                   absl::Time now);

  // The place that has waited longest of those that are due.
  std::optional<BackfillPlace> Due(absl::Time now) const;
  // Due or not.
  size_t size() const { return entries_.size(); }
  // InfiniteFuture if nothing is to be done.
  absl::Time NextDue() const;

  // It was looked at: images have these top chainIDs. `whole`: no blob of them is missing. False if it is given up.
  bool Done(const BackfillPlace& place, const std::set<std::string>& top_chain_ids, bool whole, absl::Time now);
  // It could not be looked at, which counts for nothing.
  void Postpone(const BackfillPlace& place, absl::Time now);

 private:
  struct Entry {
    std::set<std::string> tips;  // the last layers of pulls that are not known to be over
    int rounds = 0;
    absl::Time due;
  };

  std::map<BackfillPlace, Entry> entries_;
};

}  // namespace sluice
