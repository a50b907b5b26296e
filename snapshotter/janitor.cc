#include "snapshotter/janitor.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr std::chrono::seconds kCleaningInterval(30);
constexpr std::chrono::seconds kSyncingInterval(5);

void LogFailure(const absl::Status& status) {
  if (!status.ok() && !absl::IsCancelled(status)) LOG(WARNING) << "cleanup: " << status.message();
}

}  // namespace

Janitor::Janitor(SnapshotTree& tree, LayerStore& layers)
    : tree_(tree),
      layers_(layers),
      cleaning_([this](const Cancellation& stopping) { Clean(stopping); }, kCleaningInterval),
      syncing_([this](const Cancellation&) { LogFailure(layers_.SyncPublished()); }, kSyncingInterval) {
  tree_.SetDiscardListener([this] { cleaning_.Wake(); });
}

Janitor::~Janitor() { tree_.SetDiscardListener(nullptr); }

void Janitor::Clean(const Cancellation& stopping) {
  LogFailure(layers_.ReapUnclaimed());
  LogFailure(tree_.DeleteStranded(&stopping));
  const absl::StatusOr<std::vector<std::string>> names = tree_.TrashNames();
  LogFailure(names.status());
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (stopping.cancelled()) return;
    LogFailure(tree_.DeleteTrash(name, &stopping));
  }
}

}  // namespace sluice
