#include "cmd/status_report.h"

#include <tuple>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kStart = 1'700'000'000;
const absl::Time kNow = absl::FromUnixSeconds(kStart + 100);

admin_v1::Fill Fill(admin_v1::Fill::Stage stage, int64_t bytes, int64_t total, int64_t seconds_ago) {
  admin_v1::Fill fill;
  fill.set_image("172.30.0.1:5000/app:1");
  fill.set_digest(absl::StrCat("sha256:", std::string(64, 'a')));
  fill.set_stage(stage);
  if (stage == admin_v1::Fill::READING) fill.set_strategy("stream");
  fill.set_bytes(bytes);
  fill.set_total_bytes(total);
  fill.mutable_started_at()->set_seconds(kStart + 100 - seconds_ago);
  return fill;
}

admin_v1::StatusResponse Status() {
  admin_v1::StatusResponse status;
  status.set_version("1.2.3");
  status.set_root("/the/root");
  status.mutable_started_at()->set_seconds(kStart);
  status.mutable_containerd()->set_address("/run/c.sock");
  return status;
}

TEST(StatusReportTest, ADaemonThatHasDoneNothing) {
  EXPECT_EQ(StatusText(Status(), kNow),
            "daemon       containerd-sluice-grpc 1.2.3, up 1m40s, root /the/root\n"
            "containerd   /run/c.sock, UUID not known yet\n"
            "fills        none\n"
            "prepares     none; waiting 0\n"
            "so far       nothing\n"
            "snapshots    none\n"
            "layers       0, 0 B; unclaimed 0, 0 B\n"
            "cache        none\n");
}

TEST(StatusReportTest, ABusyDaemon) {
  admin_v1::StatusResponse status = Status();
  status.mutable_containerd()->set_uuid("u-1");
  status.mutable_containerd()->set_refusal("another containerd");
  admin_v1::Store& store = *status.mutable_configuration()->add_stores();
  store.set_kind("oci-layout");
  store.set_path("/var/lib/registry");
  store.add_registries("172.30.0.1:5000");
  *status.add_fills() = Fill(admin_v1::Fill::READING, 25'000'000, 100'000'000, 5);
  *status.add_fills() = Fill(admin_v1::Fill::READING, 2'000'000, 0, 2);
  *status.add_fills() = Fill(admin_v1::Fill::QUEUED_FOR_DOWNLOAD, 0, 1000, 2);
  admin_v1::StrategyCount& layout = *status.add_strategies();
  layout.set_strategy("layout");
  layout.set_layers(12);
  layout.set_bytes(3'000'000'000);
  admin_v1::FallbackCount& fallback = *status.add_fallbacks();
  fallback.set_strategy("layout");
  fallback.set_reason("corrupt");
  fallback.set_count(2);
  fallback.set_last_message("damaged\nlayer");
  for (const auto& [strategy, outcome, number] :
       {std::tuple{"layout", "provided", 12}, std::tuple{"none", "mounts", 3}}) {
    admin_v1::PrepareCount& count = *status.add_prepares();
    count.set_strategy(strategy);
    count.set_outcome(outcome);
    count.set_count(number);
  }
  status.set_prepares_in_flight(1);
  for (const char* kind : {"active", "committed"}) {
    admin_v1::SnapshotCount& count = *status.add_snapshots();
    count.set_snapshotter("sluice");
    count.set_kind(kind);
    count.set_count(3);
  }
  status.mutable_layers()->set_layers(4);
  status.mutable_layers()->set_bytes(5'000);
  status.mutable_cache()->set_path("/the/root/cache");
  status.mutable_cache()->set_max_bytes(20'000'000'000);

  const std::string digest = "sha256:aaaaaaaaaaaa";
  EXPECT_EQ(StatusText(status, kNow),
            absl::StrCat("daemon       containerd-sluice-grpc 1.2.3, up 1m40s, root /the/root\n"
                         "containerd   /run/c.sock, UUID u-1\n"
                         "refusing     another containerd\n"
                         "store        oci-layout /var/lib/registry (172.30.0.1:5000)\n"
                         "fills        3\n"
                         "  172.30.0.1:5000/app:1  ",
                         digest,
                         "  stream  [=====               ]  25%  25.0 MB of 100.0 MB  5.0 MB/s  15 s left\n"
                         "  172.30.0.1:5000/app:1  ",
                         digest,
                         "  stream  2.0 MB  1.0 MB/s\n"
                         "  172.30.0.1:5000/app:1  ",
                         digest,
                         "  queued for download\n"
                         "prepares     layout provided 12, none mounts 3; waiting 1\n"
                         "so far       layout: 12 layers, 3.0 GB\n"
                         "not held     layout: 2 × corrupt, the last: damaged\\nlayer\n"
                         "snapshots    sluice: 3 active, 3 committed\n"
                         "layers       4, 5.0 kB; unclaimed 0, 0 B\n"
                         "cache        0 blobs, 0 B of 20.0 GB, /the/root/cache\n"));

  const Json json = StatusJson(status, kNow);
  EXPECT_EQ(json["fills"][0]["bytesPerSecond"], 5e6);
  EXPECT_EQ(json["fills"][0]["secondsLeft"], 15);
  EXPECT_EQ(json["fills"][0]["startedAt"], "2023-11-14T22:14:55+00:00");
  EXPECT_EQ(json["fills"][1]["totalBytes"], nullptr);
  EXPECT_EQ(json["fills"][1]["secondsLeft"], nullptr);
  EXPECT_EQ(json["fills"][2]["stage"], "queued for download");
  EXPECT_EQ(json["fills"][2]["strategy"], nullptr);
  EXPECT_EQ(json["fallbacks"][0]["lastMessage"], "damaged\nlayer");
  EXPECT_EQ(json["prepares"][0], (Json{{"strategy", "layout"}, {"outcome", "provided"}, {"count", 12}}));
  EXPECT_EQ(json["preparesInFlight"], 1);
  EXPECT_EQ(json["cache"]["maxBytes"], 20'000'000'000);
}

TEST(StatusReportTest, MoreThanWasExpectedIsNotMoreThanAll) {
  admin_v1::StatusResponse status = Status();
  *status.add_fills() = Fill(admin_v1::Fill::READING, 200, 100, 1);
  EXPECT_THAT(StatusText(status, kNow), HasSubstr("[====================] 100%  200 B of 100 B  200 B/s  0 s left"));
  *status.mutable_fills(0) = Fill(admin_v1::Fill::READING, 200, 100, -5);  // a clock that was set
  EXPECT_THAT(StatusText(status, kNow), Not(HasSubstr("/s")));
}

}  // namespace
}  // namespace sluice
