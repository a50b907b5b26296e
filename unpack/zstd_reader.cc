#include "unpack/zstd_reader.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr size_t kInputBytes = size_t{256} << 10;
constexpr uint64_t kLargeWindowBytes = uint64_t{8} << 20;
constexpr uint32_t kFrameMagic = 0xFD2FB528;
constexpr uint32_t kSkippableMagic = 0x184D2A50;
constexpr uint32_t kSkippableMask = 0xFFFFFFF0;

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  return value;
}

Mutex large_window_mutex;
CondVar large_window_free;
bool large_window_taken = false;  // guarded by large_window_mutex

}  // namespace

std::optional<uint64_t> ZstdWindowBytes(absl::string_view header) {
  if (header.size() < 5) return std::nullopt;
  const auto magic = static_cast<uint32_t>(LittleEndian(header.substr(0, 4)));
  if ((magic & kSkippableMask) == kSkippableMagic) return 0;
  if (magic != kFrameMagic) return std::nullopt;
  const auto descriptor = static_cast<unsigned char>(header[4]);
  const bool single_segment = (descriptor & 0x20) != 0;
  if (!single_segment) {
    if (header.size() < 6) return std::nullopt;
    const auto window = static_cast<unsigned char>(header[5]);
    const uint64_t base = uint64_t{1} << (10 + (window >> 3));
    return base + base / 8 * (window & 7);
  }
  constexpr std::array<size_t, 4> kDictionaryIdBytes = {0, 1, 2, 4};
  constexpr std::array<size_t, 4> kContentSizeBytes = {1, 2, 4, 8};
  const size_t at = 5 + kDictionaryIdBytes[descriptor & 3];
  const size_t size = kContentSizeBytes[descriptor >> 6];
  if (header.size() < at + size) return std::nullopt;
  return LittleEndian(header.substr(at, size)) + (size == 2 ? 256 : 0);
}

// The right to hold a large window; one in the process.
class ZstdReader::LargeWindowTurn {
 public:
  // Null if interrupted while waiting.
  static std::unique_ptr<LargeWindowTurn> Take(const Interruption& interruption) {
    constexpr std::chrono::milliseconds kPoll(50);
    MutexLock lock(large_window_mutex);
    while (large_window_taken) {
      if (interruption.requested()) return nullptr;
      large_window_free.WaitFor(large_window_mutex, kPoll);
    }
    large_window_taken = true;
    return std::unique_ptr<LargeWindowTurn>(new LargeWindowTurn);
  }
  ~LargeWindowTurn() {
    MutexLock lock(large_window_mutex);
    large_window_taken = false;
    large_window_free.NotifyOne();
  }

 private:
  LargeWindowTurn() = default;
};

void ZstdReader::Free::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

ZstdReader::ZstdReader(ByteReader& compressed, uint64_t max_window_bytes, Interruption interruption)
    : compressed_(compressed), max_window_bytes_(max_window_bytes), interruption_(interruption), input_(kInputBytes) {}

ZstdReader::~ZstdReader() = default;

absl::StatusOr<size_t> ZstdReader::Read(absl::Span<char> buffer) {
  ZSTD_outBuffer output = {buffer.data(), buffer.size(), 0};
  while (output.pos < output.size) {
    if (!in_frame_) {
      ASSIGN_OR_RETURN(const bool more, NextFrame());
      if (!more) break;
    }
    if (input_begin_ == input_end_) RETURN_IF_ERROR(Fill(1));
    ZSTD_inBuffer input = {input_.data() + input_begin_, input_end_ - input_begin_, 0};
    const size_t output_before = output.pos;
    const size_t left = ZSTD_decompressStream(context_.get(), &output, &input);
    if (ZSTD_isError(left) != 0) {
      return absl::DataLossError(absl::StrCat("corrupt zstd stream: ", ZSTD_getErrorName(left)));
    }
    input_begin_ += input.pos;
    if (left == 0) {
      EndFrame();
    } else if (input_ended_ && input.pos == 0 && output.pos == output_before) {
      return absl::DataLossError("truncated zstd stream");
    }
  }
  return output.pos;
}

absl::Status ZstdReader::Fill(size_t bytes) {
  std::memmove(input_.data(), input_.data() + input_begin_, input_end_ - input_begin_);
  input_end_ -= input_begin_;
  input_begin_ = 0;
  while (input_end_ < bytes && !input_ended_) {
    ASSIGN_OR_RETURN(const size_t got, compressed_.Read(absl::MakeSpan(input_).subspan(input_end_)));
    input_end_ += got;
    input_ended_ = got == 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ZstdReader::NextFrame() {
  if (input_end_ - input_begin_ < kZstdHeaderBytes) RETURN_IF_ERROR(Fill(kZstdHeaderBytes));
  const absl::string_view input(input_.data() + input_begin_, input_end_ - input_begin_);
  if (input.empty()) {
    if (!any_frame_) return absl::DataLossError("truncated zstd stream");
    return false;
  }
  const std::optional<uint64_t> window = ZstdWindowBytes(input);
  if (!window.has_value()) return absl::DataLossError("corrupt zstd stream: no frame where one must start");
  if (*window > max_window_bytes_) {
    return absl::FailedPreconditionError(absl::StrCat("the zstd stream needs a window of ", *window,
                                                      " bytes, more than the limit of ", max_window_bytes_));
  }
  if (*window > kLargeWindowBytes) {
    turn_ = LargeWindowTurn::Take(interruption_);
    if (turn_ == nullptr) return absl::CancelledError("cancelled");
  }
  if (context_ == nullptr) {
    context_.reset(ZSTD_createDCtx());
    if (context_ == nullptr) return absl::ResourceExhaustedError("no memory for a zstd decoder");
    // What is allowed was decided above; libzstd's own default limit is 128 MiB.
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
  }
  in_frame_ = true;
  any_frame_ = true;
  return true;
}

void ZstdReader::EndFrame() {
  in_frame_ = false;
  if (turn_ == nullptr) return;
  context_.reset();  // the window goes with it
  turn_.reset();
}

}  // namespace sluice
