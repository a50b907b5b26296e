// Compressed layers, as others than the product's own libraries would write them: gzip by zlib, zstd by libzstd.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::testing {

struct GzipOptions {
  int level = 6;             // 0 = stored blocks
  std::string name = {};     // FNAME
  std::string comment = {};  // FCOMMENT
  std::string extra = {};    // FEXTRA
  bool header_crc = false;   // FHCRC
  bool fixed_codes = false;  // only fixed Huffman codes
};

// One gzip member (RFC 1952). Members put one behind the other are one stream.
std::string Gzip(absl::string_view data, const GzipOptions& options = {});

struct ZstdOptions {
  int level = 3;
  int window_log = 0;        // 0: the level's own
  bool checksum = false;     // content checksum at the end of the frame
  bool content_size = true;  // in the frame's header
};

// One zstd frame (RFC 8878).
std::string Zstd(absl::string_view data, const ZstdOptions& options = {});
// A skippable frame, which decoders pass over.
std::string ZstdSkippable(absl::string_view payload);

}  // namespace sluice::testing
