#include "unpack/gzip_reader.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr size_t kInputBytes = size_t{256} << 10;

absl::Status Corrupt(int error) {
  switch (error) {
    case ISAL_INVALID_BLOCK:
      return absl::DataLossError("corrupt gzip stream: invalid block");
    case ISAL_INVALID_SYMBOL:
      return absl::DataLossError("corrupt gzip stream: invalid symbol");
    case ISAL_INVALID_LOOKBACK:
      return absl::DataLossError("corrupt gzip stream: reference before the start");
    case ISAL_INVALID_WRAPPER:
      return absl::DataLossError("corrupt gzip stream: invalid member header");
    case ISAL_UNSUPPORTED_METHOD:
      return absl::DataLossError("corrupt gzip stream: unknown compression method");
    case ISAL_INCORRECT_CHECKSUM:
      return absl::DataLossError("corrupt gzip stream: wrong checksum or size at the end of a member");
    default:
      return absl::DataLossError(absl::StrCat("corrupt gzip stream: ISA-L error ", error));
  }
}

}  // namespace

GzipReader::GzipReader(ByteReader& compressed)
    : compressed_(compressed), input_(kInputBytes), state_(std::make_unique<inflate_state>()) {
  isal_inflate_init(state_.get());
}

GzipReader::~GzipReader() = default;

absl::StatusOr<size_t> GzipReader::Read(absl::Span<char> buffer) {
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // ISA-L counts in 32 bits
  state_->next_out = reinterpret_cast<uint8_t*>(buffer.data());
  const size_t wanted = std::min(buffer.size(), kMostAtOnce);
  state_->avail_out = static_cast<uint32_t>(wanted);
  while (state_->avail_out > 0 && !ended_) {
    if (!in_member_) {
      ASSIGN_OR_RETURN(const bool more, NextMember());
      if (!more) break;
    }
    if (state_->avail_in == 0 && !input_ended_) RETURN_IF_ERROR(Refill());
    const uint32_t input_before = state_->avail_in;
    const uint32_t output_before = state_->avail_out;
    const int error = isal_inflate(state_.get());
    if (error < 0 || error == ISAL_NEED_DICT) return Corrupt(error);
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      in_member_ = false;
    } else if (input_ended_ && state_->avail_in == input_before && state_->avail_out == output_before) {
      return absl::DataLossError("truncated gzip stream");
    }
  }
  return wanted - state_->avail_out;
}

absl::Status GzipReader::Refill() {
  ASSIGN_OR_RETURN(const size_t bytes, compressed_.Read(absl::MakeSpan(input_)));
  state_->next_in = reinterpret_cast<uint8_t*>(input_.data());
  state_->avail_in = static_cast<uint32_t>(bytes);
  input_ended_ = bytes == 0;
  return absl::OkStatus();
}

absl::StatusOr<bool> GzipReader::NextMember() {
  if (state_->avail_in == 0 && !input_ended_) RETURN_IF_ERROR(Refill());
  if (state_->avail_in == 0) {
    ended_ = true;
    if (!any_member_) return absl::DataLossError("truncated gzip stream");
    return false;
  }
  if (any_member_ && *state_->next_in == 0) {
    RETURN_IF_ERROR(ReadPadding());
    ended_ = true;
    return false;
  }
  RETURN_IF_ERROR(ReadHeader());
  // Keeps next_in and next_out: the member's bytes may be in the input already.
  isal_inflate_reset(state_.get());
  state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
  in_member_ = true;
  any_member_ = true;
  return true;
}

// Read here and not by ISA-L, which does not know headers with a checksum of their own and reserved flags for what they
// are.
absl::Status GzipReader::ReadHeader() {
  constexpr uint8_t kHeaderCrc = 2;
  constexpr uint8_t kExtra = 4;
  constexpr uint8_t kName = 8;
  constexpr uint8_t kComment = 16;
  constexpr uint8_t kReserved = 0xe0;
  header_crc_ = 0;
  std::array<uint8_t, 10> fixed{};
  for (uint8_t& byte : fixed) {
    ASSIGN_OR_RETURN(byte, HeaderByte());
  }
  if (fixed[0] != 0x1f || fixed[1] != 0x8b) return Corrupt(ISAL_INVALID_WRAPPER);
  if (fixed[2] != 8) return Corrupt(ISAL_UNSUPPORTED_METHOD);
  const uint8_t flags = fixed[3];
  if ((flags & kReserved) != 0) return absl::DataLossError("corrupt gzip stream: reserved flags in a member header");
  if ((flags & kExtra) != 0) {
    ASSIGN_OR_RETURN(const uint8_t low, HeaderByte());
    ASSIGN_OR_RETURN(const uint8_t high, HeaderByte());
    for (int left = low | high << 8; left > 0; --left) RETURN_IF_ERROR(HeaderByte().status());
  }
  if ((flags & kName) != 0) RETURN_IF_ERROR(SkipHeaderString());
  if ((flags & kComment) != 0) RETURN_IF_ERROR(SkipHeaderString());
  if ((flags & kHeaderCrc) != 0) {
    const uint32_t crc = header_crc_;
    ASSIGN_OR_RETURN(const uint8_t low, HeaderByte());
    ASSIGN_OR_RETURN(const uint8_t high, HeaderByte());
    if ((crc & 0xffff) != static_cast<uint32_t>(low | high << 8)) {
      return absl::DataLossError("corrupt gzip stream: wrong checksum of a member header");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint8_t> GzipReader::HeaderByte() {
  if (state_->avail_in == 0 && !input_ended_) RETURN_IF_ERROR(Refill());
  if (state_->avail_in == 0) return absl::DataLossError("truncated gzip stream");
  const uint8_t byte = *state_->next_in++;
  --state_->avail_in;
  header_crc_ = crc32_gzip_refl(header_crc_, &byte, 1);
  return byte;
}

absl::Status GzipReader::SkipHeaderString() {
  for (;;) {
    ASSIGN_OR_RETURN(const uint8_t byte, HeaderByte());
    if (byte == 0) return absl::OkStatus();
  }
}

absl::Status GzipReader::ReadPadding() {
  for (;;) {
    const uint8_t* const end = state_->next_in + state_->avail_in;
    if (std::any_of(static_cast<const uint8_t*>(state_->next_in), end, [](uint8_t byte) { return byte != 0; })) {
      return absl::DataLossError("corrupt gzip stream: bytes after the last member that are not zero");
    }
    RETURN_IF_ERROR(Refill());
    if (input_ended_) return absl::OkStatus();
  }
}

}  // namespace sluice
