// zstd frames as we read them, beside libzstd's own reading of their headers.
#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_getFrameHeader
#include <zstd.h>

#include "gtest/gtest.h"
#include "tests/fuzz/decompression.h"
#include "tests/fuzz/fuzzing.h"
#include "unpack/interruption.h"
#include "unpack/zstd_reader.h"

namespace sluice::testing {
namespace {

constexpr uint64_t kMaxWindowBytes = uint64_t{1} << 20;

void CheckWindow(absl::string_view input) {
  const std::optional<uint64_t> ours = ZstdWindowBytes(input.substr(0, kZstdHeaderBytes));
  ZSTD_frameHeader header;
  // 0: understood; positive: needs more bytes.
  if (ZSTD_getFrameHeader(&header, input.data(), input.size()) != 0) return;
  ASSERT_TRUE(ours.has_value());
  EXPECT_EQ(*ours, header.frameType == ZSTD_skippableFrame ? 0 : header.windowSize);
}

}  // namespace

SLUICE_FUZZ_TARGET(input) {
  CheckWindow(input);
  const Decompressed ours = DecompressInAnyPieces(
      input, [](ByteReader& stream) { return std::make_unique<ZstdReader>(stream, kMaxWindowBytes, Interruption()); });
  if (!ours.whole || !ours.status.ok()) return;
  // All frames at once, by libzstd alone.
  std::string whole(ours.bytes.size() + 1, '\0');
  const size_t size = ZSTD_decompress(whole.data(), whole.size(), input.data(), input.size());
  ASSERT_FALSE(ZSTD_isError(size) != 0) << ZSTD_getErrorName(size);
  EXPECT_EQ(size, ours.bytes.size());
  EXPECT_EQ(whole.compare(0, size, ours.bytes), 0);
}

}  // namespace sluice::testing
