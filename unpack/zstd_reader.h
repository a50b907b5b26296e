// Decompresses a zstd stream (RFC 8878) by libzstd: any number of frames, skippable ones among them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "unpack/interruption.h"

struct ZSTD_DCtx_s;

namespace sluice {

// The memory that a frame asks of its decoder, from the frame's first bytes; 0 for a skippable frame, nullopt if
// `header` is not the start of a frame. kZstdHeaderBytes are always enough.
inline constexpr size_t kZstdHeaderBytes = 18;
std::optional<uint64_t> ZstdWindowBytes(absl::string_view header);

// One thread at a time. DataLoss: not zstd, corrupt or truncated. FailedPrecondition: a frame's window is larger than
// `max_window_bytes`. Frames with windows over 8 MiB are decoded one at a time in the whole process, so that memory
// stays bounded: Read() then waits for its turn, or until interrupted (Cancelled).
class ZstdReader : public ByteReader {
 public:
  // Borrows `compressed`.
  ZstdReader(ByteReader& compressed, uint64_t max_window_bytes, Interruption interruption);
  ~ZstdReader() override;
  ZstdReader(const ZstdReader&) = delete;
  ZstdReader& operator=(const ZstdReader&) = delete;

  // Fills the buffer wholly unless the stream ends.
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override;

 private:
  class LargeWindowTurn;
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };

  // Reads until `bytes` are there or the input has ended.
  absl::Status Fill(size_t bytes);
  // At the end of a frame: true if another one follows, prepared for.
  absl::StatusOr<bool> NextFrame();
  void EndFrame();

  ByteReader& compressed_;
  const uint64_t max_window_bytes_;
  const Interruption interruption_;
  std::vector<char> input_;
  size_t input_begin_ = 0;
  size_t input_end_ = 0;
  bool input_ended_ = false;
  bool in_frame_ = false;
  bool any_frame_ = false;
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
  std::unique_ptr<LargeWindowTurn> turn_;
};

}  // namespace sluice
