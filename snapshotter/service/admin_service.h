// The daemon's own service, for sluicectl (proto/sluice/v1/admin.proto): what it serves, does and holds. No decision is
// taken here.
#pragma once

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "registry/cache/blob_cache.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "snapshotter/fill/fill_ledger.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/janitor.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/service/snapshots_service.h"

namespace sluice {

namespace admin_v1 = sluice::v1;

// What the service works with, borrowed for its life.
struct AdminParts {
  MetadataStore* metadata = nullptr;
  LayerStore* layers = nullptr;
  Janitor* janitor = nullptr;
  FillLedger* ledger = nullptr;
  PrepareLedger* prepares = nullptr;
  BlobCache* cache = nullptr;             // null: there is none
  SnapshotsService* snapshots = nullptr;  // whether its calls are refused
  WorkerPool* pool = nullptr;
};

// What does not change while the daemon runs.
struct AdminFacts {
  std::string version;
  std::string root;
  std::string containerd_address;
  admin_v1::Configuration configuration;
};

// Thread-safe. Answers also while the calls of containerd are refused.
class AdminService final : public admin_v1::Admin::CallbackService {
 public:
  AdminService(const AdminParts& parts, AdminFacts facts) : parts_(parts), facts_(std::move(facts)) {}

  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context, const admin_v1::StatusRequest* request,
                                   admin_v1::StatusResponse* response) override;
  grpc::ServerUnaryReactor* ListLayers(grpc::CallbackServerContext* context, const admin_v1::ListLayersRequest* request,
                                       admin_v1::ListLayersResponse* response) override;
  grpc::ServerUnaryReactor* PruneLayers(grpc::CallbackServerContext* context,
                                        const admin_v1::PruneLayersRequest* request,
                                        admin_v1::PruneLayersResponse* response) override;

 private:
  absl::Status DescribeState(admin_v1::StatusResponse& response) const;
  void DescribeFills(admin_v1::StatusResponse& response) const;
  void DescribePrepares(admin_v1::StatusResponse& response) const;
  absl::Status DescribeCache(admin_v1::StatusResponse& response) const;

  const AdminParts parts_;
  const AdminFacts facts_;
  const absl::Time started_ = absl::Now();
};

}  // namespace sluice
