// The raw headers of one tar entry, for what libarchive accepts, cuts short or hides.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct RawTarHeader {
  char typeflag = 0;  // as in the archive: NUL in old ones
  int64_t size = 0;   // the header's own size field
  std::string name;   // its own name field, cut at 100 bytes
};

// `raw` starts with the entry's special headers (pax, GNU long name) and goes on with its own header and, of some
// sparse files, a map. InvalidArgument: a special header or a map is longer than `max_bytes`; a path in a pax header
// contains a NUL, where libarchive would end it.
absl::StatusOr<RawTarHeader> ParseRawHeaders(absl::string_view raw, int64_t max_bytes);

}  // namespace sluice
