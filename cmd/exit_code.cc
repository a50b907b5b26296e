#include "cmd/exit_code.h"

#include <cerrno>
#include <optional>

#include "base/errno_status.h"

namespace sluice {

ExitCode ExitCodeOf(const absl::Status& status) {
  const std::optional<int> error = ErrnoOf(status);
  if (error == ENOSPC || error == EDQUOT) return ExitCode::kNoSpace;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kDone;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kNoAccess;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:
      return error.has_value() ? ExitCode::kFailed : ExitCode::kBadImage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace sluice
