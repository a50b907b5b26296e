// One scrape's worth of metrics, family by family.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/histogram.h"
#include "prometheus/metric_family.h"

namespace sluice {

// Names and values of a series' labels.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Families in the order in which they were begun; a series belongs to the last one. One thread at a time.
class MetricPage {
 public:
  // The three kinds of family; each name once.
  MetricPage& Counter(absl::string_view name, absl::string_view help);
  MetricPage& Gauge(absl::string_view name, absl::string_view help);
  MetricPage& Histogram(absl::string_view name, absl::string_view help);

  // A series of a counter or a gauge.
  MetricPage& Value(double value, const MetricLabels& labels = {});
  // A series of a histogram.
  MetricPage& Durations(const DurationHistogram& histogram, const MetricLabels& labels = {});

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  MetricPage& Begin(absl::string_view name, absl::string_view help, prometheus::MetricType type);
  prometheus::ClientMetric& Add(const MetricLabels& labels);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace sluice
