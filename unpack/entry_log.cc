#include "unpack/entry_log.h"

#include <algorithm>
#include <random>
#include <tuple>
#include <utility>

#include "absl/hash/hash.h"
#include "base/status_macros.h"

namespace sluice {

EntryLog::EntryLog(MemoryBudget& budget)
    : budget_(budget), key_(static_cast<uint64_t>(std::random_device()()) << 32 | std::random_device()()) {}

uint64_t EntryLog::Hash(absl::string_view path) const { return absl::HashOf(key_, path); }

absl::Status EntryLog::Add(absl::string_view path) {
  RETURN_IF_ERROR(budget_.Take(sizeof(Record)));
  const uint64_t hash = Hash(path);
  records_.push_back(
      {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(records_.size())});
  sorted_ = false;
  return absl::OkStatus();
}

std::optional<uint32_t> EntryLog::LastPosition(absl::string_view path) {
  const auto key = [](const Record& record) { return std::tuple(record.hash_high, record.hash_low, record.position); };
  if (!sorted_) {
    std::sort(records_.begin(), records_.end(), [key](const Record& a, const Record& b) { return key(a) < key(b); });
    sorted_ = true;
  }
  const uint64_t hash = Hash(path);
  const std::pair wanted(static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(hash));
  const auto after = std::upper_bound(
      records_.begin(), records_.end(), wanted,
      [](const auto& want, const Record& record) { return want < std::pair(record.hash_high, record.hash_low); });
  if (after == records_.begin()) return std::nullopt;
  const Record& record = *std::prev(after);
  if (std::pair(record.hash_high, record.hash_low) != wanted) return std::nullopt;
  return record.position;
}

}  // namespace sluice
