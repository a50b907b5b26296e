#include "tests/testing/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <iostream>

namespace sluice::testing {
namespace {

[[noreturn]] void Die(absl::string_view what) {
  std::cerr << "compress: " << what << std::endl;
  std::abort();
}

// zlib's fields are not const, though deflate only reads them.
Bytef* Bytes(absl::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

void AppendLittleEndian32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::string Gzip(absl::string_view data, const GzipOptions& options) {
  constexpr int kGzipWrapper = 16;
  z_stream stream{};
  const int strategy = options.fixed_codes ? Z_FIXED : Z_DEFAULT_STRATEGY;
  if (deflateInit2(&stream, options.level, Z_DEFLATED, MAX_WBITS + kGzipWrapper, 8, strategy) != Z_OK) {
    Die("deflateInit2 failed");
  }
  gz_header header{};
  header.os = 255;
  header.hcrc = options.header_crc ? 1 : 0;
  if (!options.name.empty()) header.name = Bytes(options.name);
  if (!options.comment.empty()) header.comment = Bytes(options.comment);
  if (!options.extra.empty()) {
    header.extra = Bytes(options.extra);
    header.extra_len = static_cast<uInt>(options.extra.size());
  }
  if (deflateSetHeader(&stream, &header) != Z_OK) Die("deflateSetHeader failed");

  // deflateBound() counts the header's fields too.
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = Bytes(data);
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = Bytes(out);
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) Die("deflate failed");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(absl::string_view data, const ZstdOptions& options) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, options.level);
  if (options.window_log != 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, options.window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, options.checksum ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, options.content_size ? 1 : 0);
  std::string out(ZSTD_compressBound(data.size()), '\0');
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  ZSTD_inBuffer input{data.data(), data.size(), 0};
  // In two steps, so that the encoder can't learn the content's size and shrink the window to it.
  size_t left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue);
  if (!ZSTD_isError(left)) left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_end);
  if (left != 0) Die("ZSTD_compressStream2 failed");
  out.resize(output.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string ZstdSkippable(absl::string_view payload) {
  std::string out;
  AppendLittleEndian32(out, ZSTD_MAGIC_SKIPPABLE_START);
  AppendLittleEndian32(out, static_cast<uint32_t>(payload.size()));
  out.append(payload.data(), payload.size());
  return out;
}

}  // namespace sluice::testing
