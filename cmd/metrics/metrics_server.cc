#include "cmd/metrics/metrics_server.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "prometheus/exposer.h"

namespace sluice {

namespace {

constexpr std::chrono::milliseconds kKnockInterval(5);

}  // namespace

MetricsServer::MetricsServer(ListenAddress address, std::unique_ptr<prometheus::Exposer> exposer,
                             std::shared_ptr<prometheus::Collectable> metrics)
    : address_(std::move(address)), metrics_(std::move(metrics)), exposer_(std::move(exposer)) {
  exposer_->RegisterCollectable(metrics_);
}

// The library learns that it is to end when somebody connects, else every two seconds.
MetricsServer::~MetricsServer() {
  std::atomic<bool> ended = false;
  std::thread knocking([this, &ended] {
    for (; !ended.load(); std::this_thread::sleep_for(kKnockInterval)) Knock(address_);
  });
  exposer_.reset();
  ended.store(true);
  knocking.join();
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const ListenAddress& address,
                                                                    std::shared_ptr<prometheus::Collectable> metrics) {
  // The library does not say what is wrong.
  RETURN_IF_ERROR(ProbeListenAddress(address));
  // Nobody is waited for longer than a scrape may take; without document_root no file is served.
  const std::vector<std::string> options = {"listening_ports",    address.text, "num_threads", "4",
                                            "request_timeout_ms", "2000"};
  // A door for exceptions: the library throws.
  try {
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(address, std::make_unique<prometheus::Exposer>(options), std::move(metrics)));
  } catch (const std::exception& e) {
    return absl::UnavailableError(absl::StrCat("listen(", address.text, "): ", e.what()));
  }
}

}  // namespace sluice
