// A failed system call as a status: "openat(usr/bin): Permission denied".
#pragma once

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

// `error` is an errno value; the code is absl's choice for it (ENOENT → NotFound, ENOSPC → ResourceExhausted, …).
// `operation` is the system call, `object` what it was asked to work on.
inline absl::Status ErrnoStatus(int error, absl::string_view operation, absl::string_view object) {
  return absl::ErrnoToStatus(error, absl::StrCat(operation, "(", object, ")"));
}

}  // namespace sluice
