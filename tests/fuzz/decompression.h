// Compressed input read by one of our readers, within bounds.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"

namespace sluice::testing {

// As much as a few hundred bytes should unfold to in one run; more isn't read.
inline constexpr size_t kMostDecompressed = size_t{2} << 20;

struct Decompressed {
  std::string bytes;
  absl::Status status;
  bool whole = false;  // read to the end or to an error, not only to the bound
};

// `wrap` makes the reader, which borrows the stream. The compressed stream comes in pieces of at most `piece` bytes.
Decompressed Decompress(absl::string_view compressed, size_t piece,
                        const std::function<std::unique_ptr<ByteReader>(ByteReader& stream)>& wrap);

// The same in one piece, after expecting that byte by byte it comes to the same.
Decompressed DecompressInAnyPieces(absl::string_view compressed,
                                   const std::function<std::unique_ptr<ByteReader>(ByteReader& stream)>& wrap);

}  // namespace sluice::testing
