#include "cmd/exit_code.h"

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(ExitCodeTest, OfAStatus) {
  const std::vector<std::pair<absl::Status, ExitCode>> cases = {
      {absl::OkStatus(), ExitCode::kDone},
      {absl::NotFoundError("x"), ExitCode::kNotFound},
      {absl::UnauthenticatedError("x"), ExitCode::kNoAccess},
      {absl::PermissionDeniedError("x"), ExitCode::kNoAccess},
      {absl::InvalidArgumentError("x"), ExitCode::kBadImage},
      {absl::DataLossError("x"), ExitCode::kBadImage},
      {absl::UnavailableError("x"), ExitCode::kUnavailable},
      {absl::DeadlineExceededError("x"), ExitCode::kUnavailable},
      {absl::ResourceExhaustedError("out of memory"), ExitCode::kFailed},
      {absl::FailedPreconditionError("x"), ExitCode::kFailed},
      {absl::AlreadyExistsError("x"), ExitCode::kFailed},
      {absl::InternalError("x"), ExitCode::kFailed},
  };
  for (const auto& [status, code] : cases) EXPECT_EQ(ExitCodeOf(status), code) << status;
}

TEST(ExitCodeTest, OfASystemCall) {
  const std::vector<std::pair<int, ExitCode>> cases = {
      {ENOENT, ExitCode::kNotFound},
      {EACCES, ExitCode::kNoAccess},
      {EPERM, ExitCode::kNoAccess},
      {EROFS, ExitCode::kNoAccess},
      {ENOSPC, ExitCode::kNoSpace},
      {EDQUOT, ExitCode::kNoSpace},
      {EMFILE, ExitCode::kFailed},
      {ENOMEM, ExitCode::kFailed},
      {EINVAL, ExitCode::kFailed},
      {ENAMETOOLONG, ExitCode::kFailed},
      {ECONNREFUSED, ExitCode::kUnavailable},
      {EIO, ExitCode::kFailed},
  };
  for (const auto& [error, code] : cases) {
    const absl::Status status = Annotate(ErrnoStatus(error, "open", "x"), "on the way up");
    EXPECT_EQ(ExitCodeOf(status), code) << status;
  }
}

}  // namespace
}  // namespace sluice
