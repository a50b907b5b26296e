// Reading and showing labels that came from outside.
#pragma once

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "snapshotter/snapshot.h"

namespace sluice {

// The value of `label`, or "" without it; containerd does not store empty values either.
inline std::string LabelValue(const Labels& labels, const char* label) {
  const auto found = labels.find(label);
  return found == labels.end() ? std::string() : found->second;
}

// A value from outside as it may stand in a message: on one line, however long it is and whatever is in it.
inline std::string ShownValue(absl::string_view value) {
  constexpr size_t kMost = 256;
  return absl::StrCat(absl::CHexEscape(value.substr(0, kMost)), value.size() > kMost ? "..." : "");
}

}  // namespace sluice
