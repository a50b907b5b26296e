// In which order a layer wrote its names, for the rare case that two of them turn out to be the same place.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
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
  // What was written at `path` is at `new_path` now, and all below it if `with_content`.
  absl::Status Move(absl::string_view path, absl::string_view new_path, bool with_content);
  // How late `path` was last written; nullopt if it is not in the log.
  std::optional<uint32_t> LastPosition(absl::string_view path);

 private:
  struct Record {
    uint32_t hash_low;
    uint32_t hash_high;
    uint32_t position;
  };
  uint64_t Hash(absl::string_view path) const;
  // Of the name under which what is at `path` was written.
  uint64_t OriginHash(absl::string_view path) const;
  // The same as a name, as far as directories were moved with what is in them.
  std::string Origin(absl::string_view path) const;

  MemoryBudget& budget_;
  const uint64_t key_;
  std::deque<Record> records_;
  absl::flat_hash_map<std::string, std::string> moved_directories_;  // new path → origin
  absl::flat_hash_map<uint64_t, uint64_t> moved_;                    // hash of the new path's origin → OriginHash()
  bool sorted_ = false;
};

}  // namespace sluice
