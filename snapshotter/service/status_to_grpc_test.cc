#include "snapshotter/service/status_to_grpc.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(StatusToGrpcTest, EveryCodeKeepsItsName) {
  struct Pair {
    absl::StatusCode absl_code;
    grpc::StatusCode grpc_code;
  };
  for (const Pair& pair : {Pair{absl::StatusCode::kCancelled, grpc::StatusCode::CANCELLED},
                           Pair{absl::StatusCode::kUnknown, grpc::StatusCode::UNKNOWN},
                           Pair{absl::StatusCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
                           Pair{absl::StatusCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED},
                           Pair{absl::StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND},
                           Pair{absl::StatusCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
                           Pair{absl::StatusCode::kPermissionDenied, grpc::StatusCode::PERMISSION_DENIED},
                           Pair{absl::StatusCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
                           Pair{absl::StatusCode::kFailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION},
                           Pair{absl::StatusCode::kAborted, grpc::StatusCode::ABORTED},
                           Pair{absl::StatusCode::kOutOfRange, grpc::StatusCode::OUT_OF_RANGE},
                           Pair{absl::StatusCode::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED},
                           Pair{absl::StatusCode::kInternal, grpc::StatusCode::INTERNAL},
                           Pair{absl::StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
                           Pair{absl::StatusCode::kDataLoss, grpc::StatusCode::DATA_LOSS}}) {
    const grpc::Status status = ToGrpcStatus(absl::Status(pair.absl_code, "why"));
    EXPECT_EQ(status.error_code(), pair.grpc_code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(StatusToGrpcTest, CutsLongMessagesBetweenCharacters) {
  // 2047 bytes, then a character of two.
  const std::string message = std::string(2047, 'a') + "\xc3\xa9" + std::string(5000, 'b');
  EXPECT_EQ(ToGrpcStatus(absl::NotFoundError(message)).error_message(), std::string(2047, 'a'));
}

}  // namespace
}  // namespace sluice
