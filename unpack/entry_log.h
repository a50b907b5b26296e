// In which order a layer wrote its names, for the rare case that two of them turn out to be the same place.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/memory_budget.h"

namespace sluice {

// One thread at a time. A name takes 12 bytes: it is kept as a hash with a random key, so that an image cannot make two
// names collide on purpose.
class EntryLog {
 public:
  explicit EntryLog(MemoryBudget& budget);

  absl::Status Add(absl::string_view path);
  // How late `path` was last written; nullopt if it is not in the log.
  std::optional<uint32_t> LastPosition(absl::string_view path);

 private:
  struct Record {
    uint32_t hash_low;
    uint32_t hash_high;
    uint32_t position;
  };
  uint64_t Hash(absl::string_view path) const;

  MemoryBudget& budget_;
  const uint64_t key_;
  std::deque<Record> records_;
  bool sorted_ = false;
};

}  // namespace sluice
