// GET /metrics.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "cmd/metrics/listen_address.h"
#include "prometheus/collectable.h"

namespace prometheus {
class Exposer;
}  // namespace prometheus

namespace sluice {

// Serves on a few threads of its own from Start() until it is destroyed, which takes milliseconds, or two seconds if a
// client is connected that says nothing. Such a one is dropped after two seconds.
class MetricsServer {
 public:
  // Errors: why nobody can listen there.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const ListenAddress& address,
                                                              std::shared_ptr<prometheus::Collectable> metrics);
  ~MetricsServer();

 private:
  MetricsServer(ListenAddress address, std::unique_ptr<prometheus::Exposer> exposer,
                std::shared_ptr<prometheus::Collectable> metrics);

  const ListenAddress address_;
  const std::shared_ptr<prometheus::Collectable> metrics_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace sluice
