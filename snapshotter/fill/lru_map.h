// A map that forgets what was not used for longest.
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace sluice {

// Not thread-safe: the owner locks.
template <typename Key, typename Value>
class LruMap {
 public:
  // `capacity`: the sum of the weights that it keeps.
  explicit LruMap(size_t capacity) : capacity_(capacity) {}

  // The value, now the most recently used one; valid until the next Insert. Null if there is none.
  Value* Find(const Key& key) {
    auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->value;
  }

  // What alone weighs more than the map keeps is forgotten at once.
  void Insert(const Key& key, Value value, size_t weight = 1) {
    if (auto present = index_.find(key); present != index_.end()) Erase(present->second);
    entries_.push_front({key, std::move(value), weight});
    index_[key] = entries_.begin();
    weight_ += weight;
    while (weight_ > capacity_) Erase(std::prev(entries_.end()));
  }

 private:
  struct Entry {
    Key key;
    Value value;
    size_t weight;
  };
  using Entries = std::list<Entry>;

  void Erase(typename Entries::iterator entry) {
    weight_ -= entry->weight;
    index_.erase(entry->key);
    entries_.erase(entry);
  }

  const size_t capacity_;
  size_t weight_ = 0;
  Entries entries_;  // most recently used first
  absl::flat_hash_map<Key, typename Entries::iterator> index_;
};

}  // namespace sluice
