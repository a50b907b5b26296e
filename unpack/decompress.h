// Chooses the decompressor of a layer blob by its first bytes: media types lie.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "unpack/interruption.h"

namespace sluice {

// A reader of the plain bytes: gzip and zstd are unwrapped once, anything else passes as it is (and an archive in a
// second wrapping is then no tar). `blob` is borrowed by what is returned. Errors: as `blob` gives them.
absl::StatusOr<std::unique_ptr<ByteReader>> OpenDecompressor(ByteReader& blob, uint64_t max_zstd_window_bytes,
                                                             Interruption interruption);

}  // namespace sluice
