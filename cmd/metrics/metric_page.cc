#include "cmd/metrics/metric_page.h"

#include <cstdint>
#include <limits>

namespace sluice {

MetricPage& MetricPage::Begin(absl::string_view name, absl::string_view help, prometheus::MetricType type) {
  families_.push_back({std::string(name), std::string(help), type, {}});
  return *this;
}

MetricPage& MetricPage::Counter(absl::string_view name, absl::string_view help) {
  return Begin(name, help, prometheus::MetricType::Counter);
}

MetricPage& MetricPage::Gauge(absl::string_view name, absl::string_view help) {
  return Begin(name, help, prometheus::MetricType::Gauge);
}

MetricPage& MetricPage::Histogram(absl::string_view name, absl::string_view help) {
  return Begin(name, help, prometheus::MetricType::Histogram);
}

prometheus::ClientMetric& MetricPage::Add(const MetricLabels& labels) {
  prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

MetricPage& MetricPage::Value(double value, const MetricLabels& labels) {
  prometheus::ClientMetric& metric = Add(labels);
  metric.counter.value = value;
  metric.gauge.value = value;
  return *this;
}

MetricPage& MetricPage::Durations(const DurationHistogram& histogram, const MetricLabels& labels) {
  prometheus::ClientMetric::Histogram& shown = Add(labels).histogram;
  uint64_t count = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    count += static_cast<uint64_t>(histogram.counts[i]);
    const bool last = i == kDurationBounds.size();
    shown.bucket.push_back({count, last ? std::numeric_limits<double>::infinity() : kDurationBounds[i]});
  }
  shown.sample_count = count;
  shown.sample_sum = histogram.seconds;
  return *this;
}

}  // namespace sluice
