// A stream of bytes: a file, a blob in a store, a download, a decompressor over another stream.
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace sluice {

// One thread at a time. Readers that wrap another one say in their constructor whether they own or borrow it.
class ByteReader {
 public:
  virtual ~ByteReader() = default;

  // Fills at most buffer.size() bytes and returns how many; fewer than asked is normal, 0 is the end of the stream and
  // stays so. REQUIRES: a non-empty buffer. An error is final: no further call.
  virtual absl::StatusOr<size_t> Read(absl::Span<char> buffer) = 0;
};

}  // namespace sluice
