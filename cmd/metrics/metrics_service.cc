#include "cmd/metrics/metrics_service.h"

#include <chrono>
#include <utility>

#include "glog/logging.h"

namespace sluice {
namespace {

constexpr std::chrono::seconds kInterval(10);

}  // namespace

MetricsService::MetricsService(ListenAddress address, StateSampler& sampler, MetricSources sources)
    : address_(std::move(address)),
      sampler_(sampler),
      metrics_(std::make_shared<DaemonMetrics>(std::move(sources))),
      loop_([this](const Cancellation&) { Round(); }, kInterval) {}

// First the numbers: nobody should see a node without snapshots.
void MetricsService::Round() {
  sampler_.Take();
  if (server_ == nullptr) Serve();
}

void MetricsService::Serve() {
  absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Start(address_, metrics_);
  if (server.ok()) {
    server_ = *std::move(server);
    LOG(INFO) << "metrics at http://" << address_.text << "/metrics";
    return;
  }
  LOG_IF(WARNING, !std::exchange(warned_, true))
      << "no metrics until the address is free: " << server.status().message();
}

}  // namespace sluice
