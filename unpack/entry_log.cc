#include "unpack/entry_log.h"

#include <algorithm>
#include <random>
#include <tuple>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

// What a move takes: a slot of a hash table that is not full.
constexpr size_t kMovedBytes = 32;

}  // namespace

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

absl::Status EntryLog::Move(absl::string_view path, absl::string_view new_path, bool with_content) {
  RETURN_IF_ERROR(budget_.Take(kMovedBytes));
  const uint64_t origin_hash = OriginHash(path);
  if (with_content) {
    std::string origin = Origin(path);
    RETURN_IF_ERROR(budget_.Take(2 * kMovedBytes + new_path.size() + origin.size()));
    moved_directories_[new_path] = std::move(origin);
  }
  moved_[Hash(Origin(new_path))] = origin_hash;
  return absl::OkStatus();
}

uint64_t EntryLog::OriginHash(absl::string_view path) const {
  const uint64_t hash = Hash(Origin(path));
  const auto moved = moved_.find(hash);
  return moved == moved_.end() ? hash : moved->second;
}

std::string EntryLog::Origin(absl::string_view path) const {
  for (absl::string_view above = path; !above.empty(); above = SplitPath(above).first) {
    const auto moved = moved_directories_.find(above);
    if (moved != moved_directories_.end()) return absl::StrCat(moved->second, path.substr(above.size()));
  }
  return std::string(path);
}

std::optional<uint32_t> EntryLog::LastPosition(absl::string_view path) {
  const auto key = [](const Record& record) { return std::tuple(record.hash_high, record.hash_low, record.position); };
  if (!sorted_) {
    std::sort(records_.begin(), records_.end(), [key](const Record& a, const Record& b) { return key(a) < key(b); });
    sorted_ = true;
  }
  const uint64_t hash = OriginHash(path);
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
