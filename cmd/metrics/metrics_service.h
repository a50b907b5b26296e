// [metrics] of the configuration, at work.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "cmd/metrics/daemon_metrics.h"
#include "cmd/metrics/listen_address.h"
#include "cmd/metrics/metrics_server.h"
#include "cmd/metrics/state_sample.h"
#include "snapshotter/background_loop.h"

namespace sluice {

// Counts the state now and then, and serves. An address that is in use costs a WARNING, not the node's pulls: it is
// tried again until it is free.
class MetricsService {
 public:
  // `sampler` is borrowed, as is what `sources` point to.
  MetricsService(ListenAddress address, StateSampler& sampler, MetricSources sources);

 private:
  void Round();
  void Serve();

  const ListenAddress address_;
  StateSampler& sampler_;
  const std::shared_ptr<DaemonMetrics> metrics_;
  // Of the loop's thread.
  std::unique_ptr<MetricsServer> server_;
  bool warned_ = false;
  BackgroundLoop loop_;  // last: it uses all of the above
};

}  // namespace sluice
