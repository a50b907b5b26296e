// Streams of bytes from a text, and back.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"

namespace sluice::testing {

class TextReader : public ByteReader {
 public:
  explicit TextReader(std::string text) : text_(std::move(text)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t count = std::min(buffer.size(), text_.size() - at_);
    std::memcpy(buffer.data(), text_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  const std::string text_;
  size_t at_ = 0;
};

// All that is left of it, in pieces of at most `piece_bytes`.
inline absl::StatusOr<std::string> ReadToEnd(ByteReader& reader, size_t piece_bytes = 64 * 1024) {
  std::string all;
  std::string buffer(piece_bytes, '\0');
  for (;;) {
    const absl::StatusOr<size_t> count = reader.Read(absl::MakeSpan(buffer));
    if (!count.ok()) return count.status();
    if (*count == 0) return all;
    all.append(buffer, 0, *count);
  }
}

}  // namespace sluice::testing
