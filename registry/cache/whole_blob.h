// A blob that is in the cache, whole, as a stream.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "registry/cache/cache_directory.h"

namespace sluice {

// Marks the blob as used (mtime) and holds a shared lock on it as long as the reader lives, which keeps it from being
// evicted. NotFound, also for another length than `size`.
absl::StatusOr<std::unique_ptr<ByteReader>> OpenWholeBlob(const CacheDirectory& directory, const Digest& digest,
                                                          std::optional<int64_t> size);

}  // namespace sluice
