#include "snapshotter/service/rpc_ledger.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(RpcLedgerTest, CallsByMethodAndCode) {
  RpcLedger ledger;
  const char* const kPrepare = "/containerd.services.snapshots.v1.Snapshots/Prepare";
  ledger.Ended(kPrepare, grpc::StatusCode::ALREADY_EXISTS, absl::Seconds(2));
  ledger.Ended(kPrepare, grpc::StatusCode::ALREADY_EXISTS, absl::Seconds(1));
  ledger.Ended(kPrepare, grpc::StatusCode::OK, absl::Seconds(4));
  ledger.Ended("/grpc.health.v1.Health/Check", grpc::StatusCode::OK, absl::ZeroDuration());
  ledger.Ended("/Plain/Call", grpc::StatusCode::UNAVAILABLE, absl::ZeroDuration());

  std::string text;
  for (const RpcCount& call : ledger.Calls()) {
    absl::StrAppend(&text, call.method, " ", call.code, " ", call.seconds.Count(), " ", call.seconds.seconds, "\n");
  }
  EXPECT_EQ(text,
            "Health/Check OK 1 0\n"
            "Plain/Call UNAVAILABLE 1 0\n"
            "Snapshots/Prepare OK 1 4\n"
            "Snapshots/Prepare ALREADY_EXISTS 2 3\n");
}

}  // namespace
}  // namespace sluice
