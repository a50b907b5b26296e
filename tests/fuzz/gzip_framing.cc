// gzip as ISA-L and we read it, beside zlib.
#include <zlib.h>

#include <algorithm>
#include <optional>

#include "gtest/gtest.h"
#include "tests/fuzz/decompression.h"
#include "tests/fuzz/fuzzing.h"
#include "unpack/gzip_reader.h"

namespace sluice::testing {
namespace {

// One member from the front of `input`; its bytes are added to `out`. False if zlib refuses it or `out` grows too long.
bool InflateMember(absl::string_view& input, std::string& out) {
  constexpr int kGzipOnly = 15 + 16;
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, kGzipOnly), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  char buffer[4096];
  int result = Z_OK;
  while (result == Z_OK && out.size() <= kMostDecompressed) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof(buffer);
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof(buffer) - stream.avail_out);
  }
  input.remove_prefix(input.size() - stream.avail_in);
  inflateEnd(&stream);
  return result == Z_STREAM_END;
}

// By the rules of GzipReader: members, then maybe zero bytes.
std::optional<std::string> Gunzip(absl::string_view input) {
  std::string out;
  do {
    if (!InflateMember(input, out)) return std::nullopt;
  } while (!input.empty() && input[0] != '\0');
  if (!std::all_of(input.begin(), input.end(), [](char c) { return c == '\0'; })) return std::nullopt;
  return out;
}

}  // namespace

SLUICE_FUZZ_TARGET(input) {
  const Decompressed ours =
      DecompressInAnyPieces(input, [](ByteReader& stream) { return std::make_unique<GzipReader>(stream); });
  if (!ours.whole) return;
  const std::optional<std::string> peers = Gunzip(input);
  EXPECT_EQ(ours.status.ok(), peers.has_value()) << ours.status;
  if (ours.status.ok() && peers.has_value()) {
    EXPECT_TRUE(ours.bytes == *peers) << ours.bytes.size() << " and " << peers->size() << " bytes";
  }
}

}  // namespace sluice::testing
