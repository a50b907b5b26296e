// A failed system call as a status: "openat(usr/bin): Permission denied".
#pragma once

#include <cerrno>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

inline constexpr char kErrnoPayload[] = "sluice.errno";

// `error` is an errno value; the code is absl's choice for it (ENOENT → NotFound, ENOSPC → ResourceExhausted, …).
// `operation` is the system call, `object` what it was asked to work on.
inline absl::Status ErrnoStatus(int error, absl::string_view operation, absl::string_view object) {
  absl::Status status = absl::ErrnoToStatus(error, absl::StrCat(operation, "(", object, ")"));
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(error)));
  return status;
}

// The errno value that `status` was made from, for whom the code is too coarse: a full disk and a full table of open
// files are both ResourceExhausted.
inline std::optional<int> ErrnoOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrnoPayload);
  int error = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &error)) return std::nullopt;
  return error;
}

}  // namespace sluice
