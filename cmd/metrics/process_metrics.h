// What every Prometheus client says of its process (process_*), from /proc/self.
#pragma once

#include "cmd/metrics/metric_page.h"

namespace sluice {

// Cost: reads three files of /proc and lists the open descriptors. What can't be read is 0.
void AddProcessMetrics(MetricPage& page);

}  // namespace sluice
