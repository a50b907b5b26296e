#include "base/digest.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/sha256.h"

namespace sluice {
namespace {

constexpr absl::string_view kPrefix = "sha256:";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

absl::Status NotADigest(absl::string_view text) {
  constexpr size_t kShown = 100;
  return absl::InvalidArgumentError(absl::StrCat("not a sha256 digest: \"", absl::CHexEscape(text.substr(0, kShown)),
                                                 text.size() > kShown ? "…\"" : "\""));
}

}  // namespace

absl::StatusOr<Digest> Digest::Parse(absl::string_view text) {
  absl::string_view hex = text;
  if (!absl::ConsumePrefix(&hex, kPrefix)) return NotADigest(text);
  absl::StatusOr<Digest> digest = ParseHex(hex);
  return digest.ok() ? digest : NotADigest(text);
}

absl::StatusOr<Digest> Digest::ParseHex(absl::string_view hex) {
  if (hex.size() != 2 * kBytes) return NotADigest(hex);
  Bytes bytes;
  for (size_t i = 0; i < kBytes; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    if (high < 0 || low < 0) return NotADigest(hex);
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return Digest(bytes);
}

Digest Digest::Of(absl::string_view data) {
  Sha256 sha256;
  sha256.Update(data);
  return sha256.Finish();
}

std::string Digest::ToString() const { return absl::StrCat(kPrefix, Hex()); }

std::string Digest::Hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * kBytes);
  for (const uint8_t byte : bytes_) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::string Digest::Short() const { return absl::StrCat(kPrefix, Hex().substr(0, 12)); }

}  // namespace sluice
