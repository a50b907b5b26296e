#include "cmd/disk_image.h"

#include "absl/strings/str_cat.h"

namespace sluice {

std::string UuidOf(const Digest& digest) {
  std::string hex = digest.Hex().substr(0, 32);
  // RFC 9562: version 8 (made by a rule of one's own), variant 1.
  hex[12] = '8';
  hex[16] = '8';
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-", hex.substr(16, 4), "-",
                      hex.substr(20));
}

}  // namespace sluice
