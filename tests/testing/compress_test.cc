#include "tests/testing/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <string>

#include "gtest/gtest.h"

namespace sluice::testing {
namespace {

// One member; how many bytes of `gz` it took goes to `consumed`.
std::string Gunzip(std::string gz, size_t* consumed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
  std::string out(size_t{1} << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(gz.data());
  stream.avail_in = static_cast<uInt>(gz.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  *consumed = stream.total_in;
  inflateEnd(&stream);
  return out;
}

TEST(CompressTest, GzipWithEveryHeaderFieldInflates) {
  const std::string data(200'000, 'x');
  for (const GzipOptions& options :
       {GzipOptions{}, GzipOptions{.level = 0}, GzipOptions{.level = 9, .fixed_codes = true},
        GzipOptions{.name = "layer.tar", .comment = "c", .extra = "ex", .header_crc = true}}) {
    const std::string gz = Gzip(data, options);
    size_t consumed = 0;
    EXPECT_EQ(Gunzip(gz, &consumed), data);
    EXPECT_EQ(consumed, gz.size());
  }
}

TEST(CompressTest, GzipFlagsAreInTheHeader) {
  const std::string gz = Gzip("", {.name = "n", .comment = "c", .extra = "e", .header_crc = true});
  EXPECT_EQ(gz[3], 2 | 4 | 8 | 16);
}

TEST(CompressTest, ZstdFramesDecompress) {
  const std::string data(3'000'000, 'z');
  const std::string frame = Zstd(data, {.window_log = 24, .checksum = true, .content_size = false});
  std::string out(data.size(), '\0');
  EXPECT_EQ(ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size()), data.size());
  EXPECT_EQ(out, data);
  EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), ZSTD_CONTENTSIZE_UNKNOWN);
}

TEST(CompressTest, SkippableFrameIsSkipped) {
  const std::string frames = ZstdSkippable("anything") + Zstd("data");
  std::string out(16, '\0');
  EXPECT_EQ(ZSTD_decompress(out.data(), out.size(), frames.data(), frames.size()), 4u);
}

}  // namespace
}  // namespace sluice::testing
