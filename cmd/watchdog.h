// Tells the service manager again and again that the daemon is alive, as long as that can be proven.
#pragma once

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cmd/service_manager.h"
#include "snapshotter/background_loop.h"

namespace sluice {

class Watchdog {
 public:
  // Returns an error, or does not return, when the daemon does not do its work; called on a thread of the watchdog,
  // four times in each interval, so that one miss is no restart. `limit`: longer than that is too long.
  using Proof = std::function<absl::Status(absl::Duration limit)>;

  // `manager` is borrowed. Does nothing where it watches nothing.
  Watchdog(const ServiceManager& manager, Proof prove);

 private:
  void Round();

  const ServiceManager& manager_;
  const Proof prove_;
  bool alive_ = true;                   // of the loop's thread
  std::optional<BackgroundLoop> loop_;  // unset: nobody watches. Last: it uses all of the above
};

}  // namespace sluice
