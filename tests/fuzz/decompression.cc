#include "tests/fuzz/decompression.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

class PieceReader : public ByteReader {
 public:
  PieceReader(absl::string_view bytes, size_t piece) : bytes_(bytes), piece_(piece) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    EXPECT_FALSE(buffer.empty());
    const size_t count = std::min({buffer.size(), piece_, bytes_.size()});
    std::memcpy(buffer.data(), bytes_.data(), count);
    bytes_.remove_prefix(count);
    return count;
  }

 private:
  absl::string_view bytes_;
  const size_t piece_;
};

}  // namespace

Decompressed Decompress(absl::string_view compressed, size_t piece,
                        const std::function<std::unique_ptr<ByteReader>(ByteReader& stream)>& wrap) {
  constexpr size_t kBufferBytes = 5000;  // no power of two, so that blocks don't end with it
  PieceReader stream(compressed, piece);
  const std::unique_ptr<ByteReader> reader = wrap(stream);
  Decompressed result;
  std::vector<char> buffer(kBufferBytes);
  while (result.bytes.size() < kMostDecompressed) {
    const absl::StatusOr<size_t> read = reader->Read(absl::MakeSpan(buffer));
    result.status = read.status();
    result.whole = !read.ok() || *read == 0;
    if (result.whole) break;
    EXPECT_LE(*read, buffer.size());
    result.bytes.append(buffer.data(), *read);
  }
  ExpectGoodMessage(result.status);
  return result;
}

Decompressed DecompressInAnyPieces(absl::string_view compressed,
                                   const std::function<std::unique_ptr<ByteReader>(ByteReader& stream)>& wrap) {
  Decompressed whole = Decompress(compressed, compressed.size() + 1, wrap);
  const Decompressed bytewise = Decompress(compressed, 1, wrap);
  EXPECT_EQ(bytewise.status, whole.status);
  EXPECT_EQ(bytewise.whole, whole.whole);
  EXPECT_TRUE(bytewise.bytes == whole.bytes) << bytewise.bytes.size() << " and " << whole.bytes.size() << " bytes";
  return whole;
}

}  // namespace sluice::testing
