#include "unpack/special_headers.h"

#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr size_t kBlockBytes = 512;
constexpr size_t kNameBytes = 100;
constexpr size_t kSizeAt = 124;
constexpr size_t kSizeBytes = 12;
constexpr size_t kTypeflagAt = 156;

// pax, its global form and Sun's; GNU long name and long link; Sun's ACL; GNU's volume label, which has no body.
bool IsSpecial(char typeflag) { return absl::string_view("xgXLKAV").find(typeflag) != absl::string_view::npos; }

// Octal, or base 256 when the first bit is set. Too large a number becomes the largest.
int64_t ParseNumber(absl::string_view field) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t value = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    for (size_t i = 0; i < field.size(); ++i) {
      const int64_t digit = static_cast<unsigned char>(field[i]) & (i == 0 ? 0x7f : 0xff);
      if (value > (kMax - digit) / 256) return kMax;
      value = value * 256 + digit;
    }
    return value;
  }
  for (const char c : field) {
    if (c < '0' || c > '7') {
      if (value == 0 && c == ' ') continue;
      break;
    }
    value = value * 8 + (c - '0');
  }
  return value;
}

// The records are "<length> <key>=<value>\n". What is malformed is libarchive's to refuse.
absl::Status CheckPaxRecords(absl::string_view body) {
  while (!body.empty()) {
    const size_t space = body.find(' ');
    size_t length = 0;
    if (space == absl::string_view::npos || !absl::SimpleAtoi(body.substr(0, space), &length)) break;
    if (length <= space + 1 || length > body.size()) break;
    const absl::string_view record = body.substr(space + 1, length - space - 2);
    body.remove_prefix(length);
    const size_t equals = record.find('=');
    const absl::string_view key = record.substr(0, equals);
    if ((key == "path" || key == "linkpath") && record.find('\0') != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("a pax header with a NUL byte in its ", key));
    }
  }
  return absl::OkStatus();
}

absl::string_view Field(absl::string_view block, size_t at, size_t bytes) {
  const absl::string_view field = block.substr(at, bytes);
  return field.substr(0, field.find('\0'));
}

}  // namespace

absl::StatusOr<RawTarHeader> ParseRawHeaders(absl::string_view raw, int64_t max_bytes) {
  while (raw.size() >= kBlockBytes) {
    const absl::string_view block = raw.substr(0, kBlockBytes);
    const char typeflag = block[kTypeflagAt];
    const int64_t size = ParseNumber(block.substr(kSizeAt, kSizeBytes));
    raw.remove_prefix(kBlockBytes);
    if (!IsSpecial(typeflag)) {
      if (static_cast<int64_t>(raw.size()) > max_bytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("a sparse map is longer than ", max_bytes, " bytes (max_special_header_bytes)"));
      }
      return RawTarHeader{typeflag, size, std::string(Field(block, 0, kNameBytes))};
    }
    if (typeflag == 'V') continue;
    if (size > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a special header is longer than ", max_bytes, " bytes (max_special_header_bytes)"));
    }
    const absl::string_view body = raw.substr(0, static_cast<size_t>(size));
    if (typeflag == 'x' || typeflag == 'X') RETURN_IF_ERROR(CheckPaxRecords(body));
    const size_t padded = (body.size() + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    raw.remove_prefix(std::min(raw.size(), padded));
  }
  return absl::InvalidArgumentError("not a valid tar: headers without an entry");
}

}  // namespace sluice
