// The daemon's numbers as Prometheus metrics. docs/metrics.md has a row for each.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cmd/metrics/state_sample.h"
#include "prometheus/collectable.h"
#include "snapshotter/fill/fill_ledger.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/recovery.h"
#include "snapshotter/service/backfill/background_backfill.h"
#include "snapshotter/service/rpc_ledger.h"
#include "snapshotter/service/snapshots_service.h"

namespace sluice {

// Where the numbers come from, borrowed for the life of the metrics.
struct MetricSources {
  const FillLedger* fills = nullptr;
  const PrepareLedger* prepares = nullptr;
  const RpcLedger* rpcs = nullptr;
  SnapshotsService* snapshots = nullptr;                         // whether its calls are admitted
  const BackgroundBackfill* backfill = nullptr;                  // null: there is none
  std::vector<std::pair<std::string, const WorkerPool*>> pools;  // by name
  const StateSampler* state = nullptr;
  RecoveryReport recovery;  // of the start
};

// Thread-safe. A scrape copies numbers, each set under its own lock for a moment, and touches neither the disk nor the
// database. Label values are from closed sets. What can be counted is there from the start, as 0: a rate sees the first
// one, too.
class DaemonMetrics : public prometheus::Collectable {
 public:
  explicit DaemonMetrics(MetricSources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const MetricSources sources_;
};

}  // namespace sluice
