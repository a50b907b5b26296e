#include "cmd/watchdog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr int kRoundsInAnInterval = 4;

}  // namespace

Watchdog::Watchdog(const ServiceManager& manager, Proof prove) : manager_(manager), prove_(std::move(prove)) {
  if (manager.watchdog() == absl::ZeroDuration()) return;
  loop_.emplace([this](const Cancellation&) { Round(); },
                absl::ToChronoNanoseconds(manager.watchdog() / kRoundsInAnInterval));
}

void Watchdog::Round() {
  const absl::Status proof = prove_(manager_.watchdog() / 2);
  absl::Status told;
  if (proof.ok()) {
    told = manager_.Tell(alive_ ? "WATCHDOG=1" : "WATCHDOG=1\nSTATUS=serving again");
  } else {
    LOG(WARNING) << "watchdog: no sign of life given: " << proof.message();
    told = manager_.Tell(absl::StrCat("STATUS=stuck: ", proof.message()));
  }
  if (!told.ok()) LOG(WARNING) << "watchdog: " << told.message();
  alive_ = proof.ok();
}

}  // namespace sluice
