#include "cmd/metrics/daemon_metrics.h"

#include <map>
#include <optional>

#include "base/version.h"
#include "cmd/metrics/metric_page.h"
#include "cmd/metrics/process_metrics.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/fill/strategy.h"

namespace sluice {
namespace {

constexpr Strategy kFillStrategies[] = {Strategy::kLayout, Strategy::kStream, Strategy::kCached};

double AsDouble(int64_t number) { return static_cast<double>(number); }
std::string NameOf(Strategy strategy) { return std::string(StrategyName(strategy)); }

std::string NameOf(FillStage stage) {
  switch (stage) {
    case FillStage::kQueued:
      return "queued";
    case FillStage::kQueuedForDownload:
      return "queued_for_download";
    case FillStage::kReading:
      return "reading";
    case FillStage::kSettling:
      break;
  }
  return "settling";
}

void AddPrepares(const PrepareLedger& ledger, MetricPage& page) {
  std::map<std::pair<std::string, PrepareOutcome>, int64_t> counts = {
      {{kGotPresent, PrepareOutcome::kProvided}, 0}, {{kGotDeferred, PrepareOutcome::kMounts}, 0},
      {{kGotDeferred, PrepareOutcome::kFailed}, 0},  {{kGotNothing, PrepareOutcome::kMounts}, 0},
      {{kGotNothing, PrepareOutcome::kFailed}, 0},   {{kGotNothing, PrepareOutcome::kCancelled}, 0},
  };
  for (const Strategy strategy : kFillStrategies) counts[{NameOf(strategy), PrepareOutcome::kProvided}] = 0;
  std::map<std::string, DurationHistogram> held;
  for (const auto& [key, count] : counts) held[key.first] = {};
  for (const PrepareCount& count : ledger.Prepares()) counts[{count.strategy, count.outcome}] = count.count;
  for (auto& [strategy, histogram] : ledger.Held()) held[strategy] = histogram;

  page.Counter("sluice_prepares_total", "Answered Prepare calls, by how the layer was got and what was answered.");
  for (const auto& [key, count] : counts) {
    page.Value(AsDouble(count), {{"strategy", key.first}, {"outcome", std::string(PrepareOutcomeName(key.second))}});
  }
  page.Histogram("sluice_prepare_hold_seconds",
                 "How long a Prepare call was held, in seconds: containerd holds its snapshotter's lock meanwhile.");
  for (const auto& [strategy, histogram] : held) page.Durations(histogram, {{"strategy", strategy}});
  page.Gauge("sluice_prepares_in_flight", "Prepare calls that have not been answered.")
      .Value(AsDouble(ledger.InFlight()));
}

void AddFallbacks(const MetricSources& sources, MetricPage& page) {
  std::map<std::pair<Strategy, FallbackReason>, int64_t> counts;
  for (const Strategy strategy : {Strategy::kLayout, Strategy::kStream, Strategy::kCached, Strategy::kDefer}) {
    for (int reason = 0; reason <= static_cast<int>(FallbackReason::kInternal); ++reason) {
      counts[{strategy, static_cast<FallbackReason>(reason)}] = 0;
    }
  }
  for (const FallbackCount& count : sources.fills->Fallbacks()) counts[{count.strategy, count.reason}] = count.count;
  for (const DeferralCount& count : sources.prepares->Deferrals()) {
    counts[{Strategy::kDefer, count.reason}] = count.count;
  }
  page.Counter(
      "sluice_fallbacks_total",
      "Ways to get a layer that did not hold, by reason; strategy \"defer\": the layer was left to containerd.");
  for (const auto& [key, count] : counts) {
    page.Value(AsDouble(count),
               {{"strategy", NameOf(key.first)}, {"reason", std::string(FallbackReasonName(key.second))}});
  }
}

void AddFills(const FillLedger& ledger, MetricPage& page) {
  std::map<Strategy, FillCount> filled = ledger.Filled();
  page.Histogram("sluice_fill_seconds",
                 "Work spent on each layer that was put in place, in seconds, without waiting for other layers.");
  for (const Strategy strategy : kFillStrategies) {
    page.Durations(filled[strategy].seconds, {{"strategy", NameOf(strategy)}});
  }
  page.Counter("sluice_fill_bytes_total",
               "Bytes of the blobs of the layers that were put in place, by where they were read.");
  const std::pair<Strategy, BlobSource> kPairs[] = {
      {Strategy::kLayout, BlobSource::kStore},          {Strategy::kCached, BlobSource::kStore},
      {Strategy::kCached, BlobSource::kOwnCopy},        {Strategy::kCached, BlobSource::kLocalRegistry},
      {Strategy::kCached, BlobSource::kRemoteRegistry}, {Strategy::kStream, BlobSource::kLocalRegistry},
      {Strategy::kStream, BlobSource::kRemoteRegistry},
  };
  for (const auto& [strategy, source] : kPairs) {
    page.Value(AsDouble(filled[strategy].source_bytes[source]),
               {{"strategy", NameOf(strategy)}, {"source", std::string(BlobSourceName(source))}});
  }
  std::map<FillStage, int64_t> stages = ledger.Stages();
  page.Gauge("sluice_fills_in_flight", "Layers that are being filled, by what they do or wait for.");
  for (const FillStage stage :
       {FillStage::kQueued, FillStage::kQueuedForDownload, FillStage::kReading, FillStage::kSettling}) {
    page.Value(AsDouble(stages[stage]), {{"stage", NameOf(stage)}});
  }
}

void AddCalls(const MetricSources& sources, MetricPage& page) {
  page.Histogram("sluice_rpc_seconds", "Calls of the socket, by method and gRPC code, in seconds.");
  for (const RpcCount& call : sources.rpcs->Calls()) {
    page.Durations(call.seconds, {{"method", call.method}, {"code", call.code}});
  }
  page.Gauge("sluice_queue_length", "Calls that wait for a thread, by pool.");
  for (const auto& [name, pool] : sources.pools)
    page.Value(AsDouble(static_cast<int64_t>(pool->queued())), {{"pool", name}});
  page.Gauge("sluice_serving",
             "1 while calls of containerd are admitted; 0: another containerd asks, or the daemon stops.")
      .Value(sources.snapshots->Admission().ok() ? 1 : 0);
}

void AddState(const StateSample& state, MetricPage& page) {
  page.Gauge("sluice_snapshots", "Snapshots, by kind.");
  for (const SnapshotKind kind : {SnapshotKind::kActive, SnapshotKind::kView, SnapshotKind::kCommitted}) {
    const auto count = state.snapshots.find(kind);
    page.Value(count == state.snapshots.end() ? 0 : AsDouble(count->second), {{"kind", std::string(KindName(kind))}});
  }
  page.Gauge("sluice_layers", "Filled layer directories.").Value(AsDouble(state.layers.layers));
  page.Gauge("sluice_layers_bytes", "Disk space of the filled layer directories in bytes.")
      .Value(AsDouble(state.layers.bytes));
  page.Gauge("sluice_layers_unclaimed", "Filled layer directories that no snapshot uses; they go after a while.")
      .Value(AsDouble(state.layers.unclaimed_layers));
  page.Gauge("sluice_layers_unclaimed_bytes", "Disk space of the layer directories that no snapshot uses, in bytes.")
      .Value(AsDouble(state.layers.unclaimed_bytes));
  const CacheTotals cache = state.cache.value_or(CacheTotals());
  page.Gauge("sluice_cache_blobs", "Blobs in the cache.").Value(AsDouble(cache.blobs));
  page.Gauge("sluice_cache_bytes", "Bytes of the blobs in the cache.").Value(AsDouble(cache.bytes));
  page.Gauge("sluice_cache_max_bytes", "How many bytes the cache may hold; 0: blobs are not cached.")
      .Value(AsDouble(cache.max_bytes));
  page.Gauge("sluice_disk_size_bytes", "Size of the root's file system in bytes.")
      .Value(AsDouble(state.disk_size_bytes));
  page.Gauge("sluice_disk_free_bytes", "Bytes that are free on the root's file system.")
      .Value(AsDouble(state.disk_free_bytes));
  page.Gauge("sluice_disk_free_inodes", "Inodes that are free on the root's file system; 0 where it counts none.")
      .Value(AsDouble(state.disk_free_inodes));
  page.Gauge("sluice_trash_entries", "Removed directories that are not deleted yet.")
      .Value(AsDouble(state.trash_entries));
  page.Gauge("sluice_state_sample_timestamp_seconds",
             "When snapshots, layers, cache and trash were last counted, in seconds since 1970.")
      .Value(absl::ToDoubleSeconds(state.taken - absl::UnixEpoch()));
}

void AddRecovery(const RecoveryReport& recovery, MetricPage& page) {
  page.Gauge("sluice_start_missing_directories", "Snapshots whose directory was missing when the daemon began.")
      .Value(AsDouble(recovery.missing_directories));
  page.Gauge("sluice_start_suspect_layers", "Layers that may have been lost with the power before the daemon began.")
      .Value(AsDouble(recovery.suspect_layers));
}

void AddBackfill(const BackgroundBackfill* backfill, MetricPage& page) {
  const BackgroundBackfill::Totals totals = backfill == nullptr ? BackgroundBackfill::Totals() : backfill->totals();
  page.Gauge("sluice_backfill_queue_length", "Namespaces whose images may lack blobs and will be looked at.")
      .Value(AsDouble(static_cast<int64_t>(totals.places)));
  page.Counter("sluice_backfill_blobs_total", "Blobs that were brought to containerd's content store.")
      .Value(AsDouble(totals.blobs));
  page.Counter("sluice_backfill_bytes_total", "Bytes of the blobs that were brought to containerd's content store.")
      .Value(AsDouble(totals.bytes));
}

}  // namespace

std::vector<prometheus::MetricFamily> DaemonMetrics::Collect() const {
  MetricPage page;
  page.Gauge("sluice_build_info", "1; the label is the version.").Value(1, {{"version", kVersion}});
  AddPrepares(*sources_.prepares, page);
  AddFallbacks(sources_, page);
  AddFills(*sources_.fills, page);
  AddCalls(sources_, page);
  AddState(sources_.state->Latest(), page);
  AddRecovery(sources_.recovery, page);
  AddBackfill(sources_.backfill, page);
  AddProcessMetrics(page);
  return page.Take();
}

}  // namespace sluice
