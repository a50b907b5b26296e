#include "snapshotter/service/admin_service.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/cancellation.h"
#include "base/status_macros.h"
#include "snapshotter/service/peer_guard.h"
#include "snapshotter/service/proto_conversion.h"
#include "snapshotter/service/status_to_grpc.h"

namespace sluice {
namespace {

constexpr size_t kLayersPerPage = 500;
// As long as containerd's own Cleanup may take.
constexpr absl::Duration kDeletionLimit = absl::Minutes(1);

// `count` is a FallbackCount or a DeferralCount.
template <typename Count>
void ShowFallback(absl::string_view strategy, const Count& count, admin_v1::StatusResponse& response) {
  admin_v1::FallbackCount& shown = *response.add_fallbacks();
  shown.set_strategy(std::string(strategy));
  shown.set_reason(std::string(FallbackReasonName(count.reason)));
  shown.set_count(count.count);
  shown.set_last_message(count.last);
}

// A call whose work runs on a pool. Deletes itself when gRPC is done with it.
class PooledCall : public grpc::ServerUnaryReactor {
 public:
  template <typename Work>
  static PooledCall* Start(WorkerPool& pool, Work work) {
    auto* call = new PooledCall;
    pool.Submit([call, work = std::move(work)] { call->Finish(ToGrpcStatus(work(call->cancellation_))); });
    return call;
  }

 private:
  void OnCancel() override { cancellation_.Cancel(); }
  void OnDone() override { delete this; }

  Cancellation cancellation_;
};

admin_v1::Fill::Stage ToProto(FillStage stage) {
  switch (stage) {
    case FillStage::kQueued:
      break;
    case FillStage::kQueuedForDownload:
      return admin_v1::Fill::QUEUED_FOR_DOWNLOAD;
    case FillStage::kReading:
      return admin_v1::Fill::READING;
    case FillStage::kSettling:
      return admin_v1::Fill::SETTLING;
  }
  return admin_v1::Fill::QUEUED;
}

void ToProto(const LayerRecord& record, admin_v1::Layer& layer) {
  layer.set_id(record.id);
  layer.set_diff_id(record.facts.diff_id.ToString());
  if (record.facts.chain_id.has_value()) layer.set_chain_id(record.facts.chain_id->ToString());
  layer.set_blob_digest(record.facts.blob_digest.ToString());
  layer.set_bytes(record.facts.usage_bytes);
}

absl::Status ListPage(const MetadataReader& reader, int64_t after_id, admin_v1::ListLayersResponse& response) {
  ASSIGN_OR_RETURN(const std::vector<LayerRecord> layers, reader.Layers());
  auto next = std::upper_bound(layers.begin(), layers.end(), after_id,
                               [](int64_t id, const LayerRecord& layer) { return id < layer.id; });
  const auto end = layers.end() - next > static_cast<ptrdiff_t>(kLayersPerPage) ? next + kLayersPerPage : layers.end();
  response.set_has_more(end != layers.end());
  if (next == end) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<LayerUser> users, reader.LayerUsers(after_id, std::prev(end)->id));
  auto user = users.begin();
  for (; next != end; ++next) {
    admin_v1::Layer& layer = *response.add_layers();
    ToProto(*next, layer);
    for (; user != users.end() && user->directory_id == next->id; ++user) {
      admin_v1::LayerUser& shown = *layer.add_users();
      shown.set_snapshotter(user->snapshotter);
      shown.set_key(user->key);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AdminService::DescribeState(admin_v1::StatusResponse& response) const {
  response.set_version(facts_.version);
  response.set_root(facts_.root);
  ToProto(started_, *response.mutable_started_at());
  *response.mutable_configuration() = facts_.configuration;
  admin_v1::Containerd& containerd = *response.mutable_containerd();
  containerd.set_address(facts_.containerd_address);
  containerd.set_refusal(std::string(parts_.snapshots->Admission().message()));
  return parts_.metadata->Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<std::string> uuid, reader.Meta(kContainerdUuidKey));
    containerd.set_uuid(uuid.value_or(""));
    ASSIGN_OR_RETURN(const std::vector<SnapshotCount> snapshots, reader.CountSnapshots());
    for (const SnapshotCount& count : snapshots) {
      admin_v1::SnapshotCount& shown = *response.add_snapshots();
      shown.set_snapshotter(count.snapshotter);
      shown.set_kind(std::string(KindName(count.kind)));
      shown.set_count(count.count);
    }
    ASSIGN_OR_RETURN(const LayerTotals totals, reader.TotalLayers());
    admin_v1::LayerTotals& layers = *response.mutable_layers();
    layers.set_layers(totals.layers);
    layers.set_bytes(totals.bytes);
    layers.set_unclaimed_layers(totals.unclaimed_layers);
    layers.set_unclaimed_bytes(totals.unclaimed_bytes);
    return absl::OkStatus();
  });
}

void AdminService::DescribeFills(admin_v1::StatusResponse& response) const {
  for (const FillInProgress& fill : parts_.ledger->InProgress()) {
    admin_v1::Fill& shown = *response.add_fills();
    shown.set_image(fill.image);
    shown.set_digest(fill.digest);
    shown.set_stage(ToProto(fill.stage));
    if (fill.strategy != Strategy::kDefer) shown.set_strategy(std::string(StrategyName(fill.strategy)));
    shown.set_bytes(fill.bytes);
    shown.set_total_bytes(fill.total_bytes.value_or(0));
    ToProto(fill.started, *shown.mutable_started_at());
  }
  for (const auto& [strategy, count] : parts_.ledger->Filled()) {
    admin_v1::StrategyCount& shown = *response.add_strategies();
    shown.set_strategy(std::string(StrategyName(strategy)));
    shown.set_layers(count.layers);
    shown.set_bytes(count.bytes);
  }
  for (const FallbackCount& fallback : parts_.ledger->Fallbacks()) {
    ShowFallback(StrategyName(fallback.strategy), fallback, response);
  }
}

void AdminService::DescribePrepares(admin_v1::StatusResponse& response) const {
  response.set_prepares_in_flight(parts_.prepares->InFlight());
  for (const PrepareCount& count : parts_.prepares->Prepares()) {
    admin_v1::PrepareCount& shown = *response.add_prepares();
    shown.set_strategy(count.strategy);
    shown.set_outcome(std::string(PrepareOutcomeName(count.outcome)));
    shown.set_count(count.count);
  }
  for (const DeferralCount& deferral : parts_.prepares->Deferrals()) {
    ShowFallback(kGotDeferred, deferral, response);
  }
}

absl::Status AdminService::DescribeCache(admin_v1::StatusResponse& response) const {
  if (parts_.cache == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const CacheTotals totals, parts_.cache->Totals());
  admin_v1::Cache& cache = *response.mutable_cache();
  cache.set_path(parts_.cache->path());
  cache.set_bytes(totals.bytes);
  cache.set_blobs(totals.blobs);
  cache.set_max_bytes(totals.max_bytes);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* AdminService::Status(grpc::CallbackServerContext*, const admin_v1::StatusRequest*,
                                               admin_v1::StatusResponse* response) {
  return PooledCall::Start(*parts_.pool, [this, response](const Cancellation&) -> absl::Status {
    RETURN_IF_ERROR(DescribeState(*response));
    DescribeFills(*response);
    DescribePrepares(*response);
    return DescribeCache(*response);
  });
}

grpc::ServerUnaryReactor* AdminService::ListLayers(grpc::CallbackServerContext*,
                                                   const admin_v1::ListLayersRequest* request,
                                                   admin_v1::ListLayersResponse* response) {
  return PooledCall::Start(*parts_.pool, [this, request, response](const Cancellation&) {
    return parts_.metadata->Read(
        [&](const MetadataReader& reader) { return ListPage(reader, request->after_id(), *response); });
  });
}

grpc::ServerUnaryReactor* AdminService::PruneLayers(grpc::CallbackServerContext*, const admin_v1::PruneLayersRequest*,
                                                    admin_v1::PruneLayersResponse* response) {
  return PooledCall::Start(*parts_.pool, [this, response](const Cancellation& cancellation) -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<LayerRecord> pruned, parts_.layers->PruneUnclaimed());
    int64_t bytes = 0;
    for (const LayerRecord& layer : pruned) bytes += layer.facts.usage_bytes;
    response->set_layers(static_cast<int64_t>(pruned.size()));
    response->set_bytes(bytes);
    if (!pruned.empty()) parts_.janitor->Drain(kDeletionLimit, cancellation);
    return absl::OkStatus();
  });
}

}  // namespace sluice
