#include "snapshotter/service/mangled_key.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "snapshotter/labels.h"

namespace sluice {

absl::Status CheckKeyNamespace(absl::string_view key, absl::string_view header) {
  const std::vector<absl::string_view> parts = absl::StrSplit(key, absl::MaxSplits('/', 2));
  uint64_t sequence = 0;
  if (parts.size() != 3 || parts[0].empty() || !absl::SimpleAtoi(parts[1], &sequence)) return absl::OkStatus();
  if (parts[0] == header) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("key ", ShownValue(key), ": is of another namespace than the request's: ", ShownValue(header)));
}

}  // namespace sluice
