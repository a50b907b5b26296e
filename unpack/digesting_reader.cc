#include "unpack/digesting_reader.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace sluice {

absl::StatusOr<size_t> DigestingReader::Read(absl::Span<char> buffer) {
  ASSIGN_OR_RETURN(const size_t bytes, source_.Read(buffer));
  sha256_.Update(absl::string_view(buffer.data(), bytes));
  bytes_ += static_cast<int64_t>(bytes);
  if (max_bytes_.has_value() && bytes_ > *max_bytes_) {
    return absl::DataLossError(absl::StrCat("the blob is longer than the ", *max_bytes_, " bytes it should have"));
  }
  return bytes;
}

}  // namespace sluice
