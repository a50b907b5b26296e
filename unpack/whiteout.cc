#include "unpack/whiteout.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr absl::string_view kPrefix = ".wh.";
constexpr absl::string_view kMetadataPrefix = ".wh..wh.";
constexpr absl::string_view kOpaqueName = ".wh..wh..opq";

}  // namespace

absl::StatusOr<Whiteout> ParseWhiteout(absl::string_view base) {
  if (!absl::StartsWith(base, kPrefix)) return Whiteout{};
  if (base == kOpaqueName) return Whiteout{Whiteout::Kind::kOpaque, {}};
  if (absl::StartsWith(base, kMetadataPrefix)) return Whiteout{Whiteout::Kind::kMetadata, {}};
  const absl::string_view name = base.substr(kPrefix.size());
  if (name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError(absl::StrCat("\"", base, "\" is not a valid whiteout name"));
  }
  return Whiteout{Whiteout::Kind::kName, name};
}

}  // namespace sluice
