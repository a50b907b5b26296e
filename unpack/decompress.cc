#include "unpack/decompress.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "unpack/gzip_reader.h"
#include "unpack/zstd_reader.h"

namespace sluice {
namespace {

constexpr size_t kMagicBytes = 4;

// A stream whose first bytes were looked at already.
class PeekedReader : public ByteReader {
 public:
  explicit PeekedReader(ByteReader& source) : source_(source) {}

  // The first bytes; fewer than kMagicBytes only if the stream has no more.
  absl::StatusOr<absl::string_view> Peek() {
    while (peeked_ < magic_.size()) {
      ASSIGN_OR_RETURN(const size_t bytes, source_.Read(absl::MakeSpan(magic_).subspan(peeked_)));
      if (bytes == 0) break;
      peeked_ += bytes;
    }
    return absl::string_view(magic_.data(), peeked_);
  }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (given_ == peeked_) return source_.Read(buffer);
    const size_t bytes = std::min(buffer.size(), peeked_ - given_);
    std::memcpy(buffer.data(), magic_.data() + given_, bytes);
    given_ += bytes;
    return bytes;
  }

 private:
  ByteReader& source_;
  std::array<char, kMagicBytes> magic_{};
  size_t peeked_ = 0;
  size_t given_ = 0;
};

// A decompressor together with the stream it borrows.
template <typename Reader>
class Owning : public ByteReader {
 public:
  template <typename... Args>
  explicit Owning(std::unique_ptr<ByteReader> source, Args... args)
      : source_(std::move(source)), reader_(*source_, args...) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override { return reader_.Read(buffer); }

 private:
  std::unique_ptr<ByteReader> source_;
  Reader reader_;
};

bool IsGzip(absl::string_view magic) { return absl::StartsWith(magic, "\x1f\x8b"); }

bool IsZstd(absl::string_view magic) {
  if (magic.size() < 4) return false;
  if (magic == "\x28\xb5\x2f\xfd") return true;
  return (magic[0] & '\xf0') == '\x50' && magic.substr(1) == "\x2a\x4d\x18";
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteReader>> OpenDecompressor(ByteReader& blob, uint64_t max_zstd_window_bytes,
                                                             Interruption interruption) {
  auto peeked = std::make_unique<PeekedReader>(blob);
  ASSIGN_OR_RETURN(const absl::string_view magic, peeked->Peek());
  if (IsGzip(magic)) return std::make_unique<Owning<GzipReader>>(std::move(peeked));
  if (IsZstd(magic)) {
    return std::make_unique<Owning<ZstdReader>>(std::move(peeked), max_zstd_window_bytes, interruption);
  }
  return peeked;
}

}  // namespace sluice
