// Inflates a gzip stream (RFC 1952) by ISA-L: any number of members, each with its CRC-32 and size checked.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"

struct inflate_state;

namespace sluice {

// One thread at a time. DataLoss: not gzip, corrupt, truncated, or followed by anything but zero bytes (some tools pad
// blobs to a block size; containerd and umoci accept no other tail either).
class GzipReader : public ByteReader {
 public:
  // Borrows `compressed`.
  explicit GzipReader(ByteReader& compressed);
  ~GzipReader() override;
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Fills the buffer wholly unless the stream ends.
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override;

 private:
  absl::Status Refill();
  // At the end of a member: true if another one follows.
  absl::StatusOr<bool> NextMember();
  absl::Status ReadHeader();
  absl::StatusOr<uint8_t> HeaderByte();
  absl::Status SkipHeaderString();
  absl::Status ReadPadding();

  ByteReader& compressed_;
  std::vector<char> input_;
  std::unique_ptr<inflate_state> state_;
  uint32_t header_crc_ = 0;  // of the member header, so far
  bool input_ended_ = false;
  bool in_member_ = false;
  bool any_member_ = false;
  bool ended_ = false;
};

}  // namespace sluice
