// A ByteReader that hashes and counts what passes through it.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "base/sha256.h"

namespace sluice {

class DigestingReader : public ByteReader {
 public:
  // Borrows `source`. With `max_bytes` a longer stream is DataLoss as soon as it shows.
  DigestingReader(ByteReader& source, std::optional<int64_t> max_bytes) : source_(source), max_bytes_(max_bytes) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override;

  int64_t bytes() const { return bytes_; }
  // REQUIRES: called once, after the last Read.
  Digest Finish() { return sha256_.Finish(); }

 private:
  ByteReader& source_;
  const std::optional<int64_t> max_bytes_;
  int64_t bytes_ = 0;
  Sha256 sha256_;
};

}  // namespace sluice
