// What a scrape says, from ledgers with known entries.
#include "cmd/metrics/daemon_metrics.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "cmd/metrics/metric_page.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

class DaemonMetricsTest : public ::testing::Test {
 protected:
  DaemonMetricsTest() : pool_(1), service_({&*snapshotter_, &pool_, &pool_, &pool_}) {
    cache_ = BlobCache::Open(dir_.At("cache"), {.max_bytes = 1000}).value();
    sampler_ = std::make_unique<StateSampler>(snapshotter_.tree(), snapshotter_.metadata(), cache_.get());
    MetricSources sources;
    sources.fills = &fills_;
    sources.prepares = &snapshotter_.ledger();
    sources.rpcs = &rpcs_;
    sources.snapshots = &service_;
    sources.pools = {{"quick", &pool_}};
    sources.state = sampler_.get();
    sources.recovery.missing_directories = 3;
    metrics_ = std::make_unique<DaemonMetrics>(sources);
  }

  // "name label=value …" → value; of a histogram its count and, with " sum", its sum.
  std::map<std::string, double> Scrape() {
    std::map<std::string, double> values;
    for (const prometheus::MetricFamily& family : metrics_->Collect()) {
      for (const prometheus::ClientMetric& metric : family.metric) {
        std::string name = family.name;
        for (const auto& label : metric.label) absl::StrAppend(&name, " ", label.name, "=", label.value);
        EXPECT_EQ(values.count(name), 0) << name << " is there twice";
        const bool histogram = family.type == prometheus::MetricType::Histogram;
        values[name] = histogram ? static_cast<double>(metric.histogram.sample_count) : metric.gauge.value;
        if (histogram) values[name + " sum"] = metric.histogram.sample_sum;
      }
    }
    return values;
  }

  testing::TempDir dir_;
  testing::SnapshotterFixture snapshotter_;
  WorkerPool pool_;
  SnapshotsService service_;
  FillLedger fills_;
  RpcLedger rpcs_;
  std::unique_ptr<BlobCache> cache_;
  std::unique_ptr<StateSampler> sampler_;
  std::unique_ptr<DaemonMetrics> metrics_;
};

TEST_F(DaemonMetricsTest, WhatCanBeCountedIsThereFromTheStart) {
  const std::map<std::string, double> values = Scrape();
  EXPECT_EQ(values.at("sluice_prepares_total strategy=layout outcome=provided"), 0);
  EXPECT_EQ(values.at("sluice_prepares_total strategy=defer outcome=mounts"), 0);
  EXPECT_EQ(values.at("sluice_fallbacks_total strategy=stream reason=unreachable"), 0);
  EXPECT_EQ(values.at("sluice_fallbacks_total strategy=defer reason=internal"), 0);
  EXPECT_EQ(values.at("sluice_fill_seconds strategy=cached"), 0);
  EXPECT_EQ(values.at("sluice_fill_bytes_total strategy=layout source=store"), 0);
  EXPECT_EQ(values.at("sluice_prepare_hold_seconds strategy=present"), 0);
  EXPECT_EQ(values.at("sluice_serving"), 1);
  EXPECT_EQ(values.at("sluice_start_missing_directories"), 3);
}

TEST_F(DaemonMetricsTest, TheLedgersNumbers) {
  const auto page = fills_.Begin("", {});
  page->GaveUp(Strategy::kLayout, absl::DataLossError("damaged"));
  page->Filled({1, Strategy::kStream, BlobSource::kLocalRegistry, 10, absl::Seconds(2)});
  rpcs_.Ended("/a.b.Snapshots/Stat", grpc::StatusCode::OK, absl::Seconds(1));
  ASSERT_OK(snapshotter_.Prepare("default/1/rw").status());
  service_.Refuse(absl::FailedPreconditionError("another containerd"));

  const std::map<std::string, double> values = Scrape();
  EXPECT_EQ(values.at("sluice_fallbacks_total strategy=layout reason=corrupt"), 1);
  EXPECT_EQ(values.at("sluice_fill_seconds strategy=stream"), 1);
  EXPECT_EQ(values.at("sluice_fill_seconds strategy=stream sum"), 2);
  EXPECT_EQ(values.at("sluice_fill_bytes_total strategy=stream source=local_registry"), 10);
  EXPECT_EQ(values.at("sluice_fills_in_flight stage=queued"), 1);
  EXPECT_EQ(values.at("sluice_rpc_seconds method=Snapshots/Stat code=OK"), 1);
  EXPECT_EQ(values.at("sluice_prepares_total strategy=none outcome=mounts"), 1);
  EXPECT_EQ(values.at("sluice_prepare_hold_seconds strategy=none"), 1);
  EXPECT_EQ(values.at("sluice_serving"), 0);
}

TEST_F(DaemonMetricsTest, TheStateIsThatOfTheLastSample) {
  ASSERT_OK(snapshotter_.Prepare("default/1/rw").status());
  ASSERT_OK(snapshotter_.Prepare("default/1/rw", "", {}, "another").status());
  ASSERT_OK(snapshotter_.PublishLayer("ahead").status());
  ASSERT_OK(cache_->WriteDocument(Digest::Of("12345"), "12345"));
  EXPECT_EQ(Scrape().at("sluice_snapshots kind=active"), 0) << "a scrape asks no database";
  sampler_->Take();
  const std::map<std::string, double> values = Scrape();
  EXPECT_EQ(values.at("sluice_snapshots kind=active"), 2) << "of all proxy names";
  EXPECT_EQ(values.at("sluice_snapshots kind=view"), 0);
  EXPECT_EQ(values.at("sluice_layers"), 1);
  EXPECT_EQ(values.at("sluice_layers_bytes"), 8192);
  EXPECT_EQ(values.at("sluice_layers_unclaimed"), 1);
  EXPECT_EQ(values.at("sluice_cache_blobs"), 1);
  EXPECT_EQ(values.at("sluice_cache_bytes"), 5);
  EXPECT_EQ(values.at("sluice_cache_max_bytes"), 1000);
  EXPECT_GT(values.at("sluice_disk_free_bytes"), 0);
  EXPECT_GE(values.at("sluice_disk_size_bytes"), values.at("sluice_disk_free_bytes"));
  EXPECT_NEAR(values.at("sluice_state_sample_timestamp_seconds"),
              absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 60);
}

TEST_F(DaemonMetricsTest, OfTheProcess) {
  const std::map<std::string, double> values = Scrape();
  EXPECT_GT(values.at("process_threads"), 1);
  EXPECT_GT(values.at("process_open_fds"), 3);
  EXPECT_GT(values.at("process_max_fds"), values.at("process_open_fds"));
  EXPECT_GT(values.at("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(values.at("process_virtual_memory_bytes"), values.at("process_resident_memory_bytes"));
  EXPECT_GT(values.at("process_cpu_seconds_total"), 0);
  EXPECT_NEAR(values.at("process_start_time_seconds"), absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 300);
}

TEST(MetricPageTest, BucketsAreCumulated) {
  DurationHistogram histogram;
  for (const double seconds : {0.0005, 0.002, 0.002, 1000.0}) histogram.Observe(absl::Seconds(seconds));
  MetricPage page;
  page.Histogram("x_seconds", "help").Durations(histogram);
  const prometheus::ClientMetric::Histogram shown = page.Take().at(0).metric.at(0).histogram;
  EXPECT_EQ(shown.sample_count, 4);
  ASSERT_EQ(shown.bucket.size(), kDurationBounds.size() + 1);
  EXPECT_EQ(shown.bucket[0].cumulative_count, 1);
  EXPECT_EQ(shown.bucket[1].cumulative_count, 3);
  EXPECT_EQ(shown.bucket[kDurationBounds.size() - 1].cumulative_count, 3);
  EXPECT_EQ(shown.bucket.back().cumulative_count, 4);
}

}  // namespace
}  // namespace sluice
