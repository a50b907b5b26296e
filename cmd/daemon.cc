#include "cmd/daemon.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "cmd/metrics/listen_address.h"
#include "cmd/metrics/metrics_service.h"
#include "cmd/metrics/state_sample.h"
#include "cmd/provider_options.h"
#include "containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "glog/logging.h"
#include "grpcpp/channel.h"
#include "registry/cache/blob_cache.h"
#include "snapshotter/active_snapshots.h"
#include "snapshotter/fill/applier.h"
#include "snapshotter/fill/fill_ledger.h"
#include "snapshotter/fill/image_layer_provider.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/janitor.h"
#include "snapshotter/layer_store.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/path_layout.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/recovery.h"
#include "snapshotter/root_probe.h"
#include "snapshotter/service/admin_service.h"
#include "snapshotter/service/backfill/background_backfill.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/diff_service.h"
#include "snapshotter/service/peer_guard.h"
#include "snapshotter/service/peer_screen.h"
#include "snapshotter/service/rpc_ledger.h"
#include "snapshotter/service/server.h"
#include "snapshotter/service/snapshots_service.h"
#include "snapshotter/snapshot_tree.h"
#include "snapshotter/snapshotter.h"
#include "snapshotter/spare_directories.h"

namespace sluice {
namespace {

namespace snapshots_v1 = containerd::services::snapshots::v1;

constexpr int kQuickThreads = 4;
constexpr int kWalkThreads = 2;
constexpr int kCleanupThreads = 1;
constexpr int kListThreads = 1;
constexpr int kAdminThreads = 2;  // one may wait for a deletion
constexpr absl::Duration kDrainLimit = absl::Seconds(5);

admin_v1::Configuration InShort(const DaemonOptions& options) {
  admin_v1::Configuration shown;
  shown.set_path(options.config_path);
  for (const StoreConfig& store : options.config.stores) {
    admin_v1::Store& one = *shown.add_stores();
    one.set_kind(std::string(StoreKindName(store.kind)));
    one.set_path(store.path);
    one.mutable_registries()->Add(store.registries.begin(), store.registries.end());
  }
  const std::vector<std::string>& local = options.config.registry.local_registries;
  shown.mutable_local_registries()->Add(local.begin(), local.end());
  shown.set_hosts_dir(options.config.registry.hosts_dir);
  return shown;
}

// By a connection of its own: a socket that somebody has deleted still answers those that it had. The snapshot does not
// exist; while another containerd is refused, so is this call.
absl::Status AnswersAt(const std::string& address, absl::Duration limit) {
  grpc::ClientContext context;
  PrepareCall(context, "", absl::Now() + limit);
  snapshots_v1::StatSnapshotRequest request;
  request.set_snapshotter("watchdog");
  request.set_key("none");
  snapshots_v1::StatSnapshotResponse response;
  const grpc::Status status =
      snapshots_v1::Snapshots::NewStub(OpenContainerdChannel(address))->Stat(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND ||
      status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat("own socket: ", address, ": ", status.error_message()));
}

}  // namespace

// In the order in which they are made.
struct Daemon::Parts {
  ~Parts();

  std::unique_ptr<SocketClaim> claim;
  std::unique_ptr<SnapshotTree> tree;
  std::unique_ptr<MetadataStore> metadata;
  std::unique_ptr<LayerStore> layers;
  std::unique_ptr<Janitor> janitor;
  std::shared_ptr<grpc::Channel> containerd;
  std::unique_ptr<ContentStoreClient> content_store;
  std::unique_ptr<SpareDirectories> spares;
  std::unique_ptr<WorkerPool> quick;
  std::unique_ptr<WorkerPool> walks;
  std::unique_ptr<WorkerPool> cleanup;
  std::unique_ptr<WorkerPool> lists;
  std::unique_ptr<WorkerPool> admin_calls;
  std::unique_ptr<BlobCache> cache;
  std::shared_ptr<FillLedger> ledger = std::make_shared<FillLedger>();
  PrepareLedger prepares;
  RpcLedger rpcs;
  std::unique_ptr<LayerProvider> provider;
  std::unique_ptr<Snapshotter> snapshotter;
  std::unique_ptr<ActiveSnapshots> active_snapshots;
  std::unique_ptr<Applier> applier;
  std::unique_ptr<BackgroundBackfill> backfill;  // null: the configuration wants none
  std::unique_ptr<SnapshotsService> service;
  std::unique_ptr<DiffService> diff_service;
  std::unique_ptr<AdminService> admin;
  std::unique_ptr<PeerGuard> guard;
  std::unique_ptr<Server> server;
  RecoveryReport recovery;
  std::unique_ptr<StateSampler> sampler;
  std::unique_ptr<MetricsService> metrics;  // null: the configuration wants none

  absl::Status OpenState(const DaemonOptions& options);
  absl::Status OpenProvider(const Config& config);
  absl::Status OpenBackfill(const LayerProviderOptions& options);
  ServiceParts PartsOfService();
  absl::Status Serve(const DaemonOptions& options);
  void ServeMetrics(const ListenAddress& address);
};

absl::Status Daemon::Parts::OpenState(const DaemonOptions& options) {
  ASSIGN_OR_RETURN(PathLayout layout, PathLayout::ForRoot(options.root));
  ASSIGN_OR_RETURN(tree, SnapshotTree::Open(std::move(layout)));
  ASSIGN_OR_RETURN(const RootProbeReport probe, ProbeRoot(tree->root_fd(), tree->layout().root()));
  for (const std::string& warning : probe.warnings) LOG(WARNING) << "root: " << warning;

  ASSIGN_OR_RETURN(metadata, MetadataStore::Open(tree->layout().DatabasePath()));
  LayerStoreOptions layer_options;
  layer_options.sync_before_publish = options.config.unpack.sync_on_commit;
  ASSIGN_OR_RETURN(layers, LayerStore::Open(*tree, *metadata, std::move(layer_options)));
  ASSIGN_OR_RETURN(recovery, Recover(*tree, *metadata, *layers));
  LOG(INFO) << "root " << tree->layout().root() << ": discarded " << recovery.discarded_directories
            << " directories without a row; missing " << recovery.missing_directories << " of snapshots, "
            << recovery.discarded_layers << " of layers nobody uses";
  janitor = std::make_unique<Janitor>(*tree, *layers);
  return absl::OkStatus();
}

absl::Status Daemon::Parts::OpenProvider(const Config& config) {
  ASSIGN_OR_RETURN(LayerProviderOptions options, ProviderOptions(config));
  absl::StatusOr<std::unique_ptr<BlobCache>> opened =
      BlobCache::Open(tree->layout().CachePath(), {.max_bytes = config.cache.max_bytes,
                                                   .min_free_bytes = config.cache.min_free,
                                                   .min_free_inodes = config.cache.min_free_inodes});
  // Layers can be had without it.
  if (opened.ok()) {
    cache = *std::move(opened);
    options.cache = cache.get();
  } else {
    LOG(WARNING) << "the blob cache is not used: " << opened.status().message();
  }
  containerd = OpenContainerdChannel(config.containerd.address);
  content_store = std::make_unique<ContentStoreClient>(containerd);
  options.content_store = content_store.get();
  options.directories = layers.get();
  if (config.containerd.backfill_content) RETURN_IF_ERROR(OpenBackfill(options));
  options.ledger = ledger;
  provider = MakeLayerProvider(std::move(options));
  return absl::OkStatus();
}

absl::Status Daemon::Parts::OpenBackfill(const LayerProviderOptions& options) {
  BackgroundBackfill::Options wanted;
  wanted.containerd = containerd;
  wanted.store = content_store.get();
  wanted.sources = SourcesOf(options);
  wanted.origins = OriginsOf(options);
  RETURN_IF_ERROR(metadata->Read([&wanted](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(wanted.snapshotters, reader.Snapshotters());
    return absl::OkStatus();
  }));
  backfill = std::make_unique<BackgroundBackfill>(std::move(wanted));
  return absl::OkStatus();
}

ServiceParts Daemon::Parts::PartsOfService() {
  ServiceParts parts{snapshotter.get(), quick.get(), walks.get(), cleanup.get(), lists.get()};
  parts.ledger = &prepares;
  if (backfill == nullptr) return parts;
  parts.on_layer_wanted = [this] { backfill->NotePrepareBegins(); };
  parts.on_layer_answered = [this](const PrepareRequest& request, const absl::Status& answer) {
    backfill->NotePrepareEnds(request, answer);
  };
  return parts;
}

absl::Status Daemon::Parts::Serve(const DaemonOptions& options) {
  quick = std::make_unique<WorkerPool>(kQuickThreads);
  walks = std::make_unique<WorkerPool>(kWalkThreads);
  cleanup = std::make_unique<WorkerPool>(kCleanupThreads);
  lists = std::make_unique<WorkerPool>(kListThreads);
  SnapshotterParts parts;
  parts.tree = tree.get();
  parts.metadata = metadata.get();
  parts.layers = layers.get();
  parts.janitor = janitor.get();
  parts.provider = provider.get();
  parts.quick = quick.get();
  parts.walks = walks.get();
  spares = std::make_unique<SpareDirectories>(*tree, *metadata);
  parts.spares = spares.get();
  parts.ledger = &prepares;
  snapshotter = std::make_unique<Snapshotter>(parts);
  service = std::make_unique<SnapshotsService>(PartsOfService());
  active_snapshots = std::make_unique<ActiveSnapshots>(*tree, *metadata);
  applier = std::make_unique<Applier>(*active_snapshots, *layers, *content_store, *quick,
                                      Applier::Options{.workers = static_cast<int>(options.config.unpack.workers),
                                                       .always_sync = options.config.unpack.sync_on_commit});
  diff_service = std::make_unique<DiffService>(*applier, *service);
  admin_calls = std::make_unique<WorkerPool>(kAdminThreads);
  admin = std::make_unique<AdminService>(
      AdminParts{metadata.get(), layers.get(), janitor.get(), ledger.get(), &prepares, cache.get(), service.get(),
                 admin_calls.get()},
      AdminFacts{kVersion, options.root, options.config.containerd.address, InShort(options)});
  guard = std::make_unique<PeerGuard>(containerd, *metadata, *service,
                                      PeerGuardOptions{options.config.containerd.address, options.root});
  const PeerScreen screen(options.config.containerd.address);
  const auto judge = [this, screen](pid_t pid) {
    const Peer peer = screen.Judge(pid);
    // It may have another root since.
    if (peer == Peer::kOurContainerd) guard->LookSoon();
    return peer;
  };
  ASSIGN_OR_RETURN(server, Server::Start(std::move(claim), {service.get(), diff_service.get(), admin.get(), &rpcs},
                                         {judge, screen.Refusal(options.address)}));
  return absl::OkStatus();
}

void Daemon::Parts::ServeMetrics(const ListenAddress& address) {
  sampler = std::make_unique<StateSampler>(*tree, *metadata, cache.get());
  MetricSources sources;
  sources.fills = ledger.get();
  sources.prepares = &prepares;
  sources.rpcs = &rpcs;
  sources.snapshots = service.get();
  sources.backfill = backfill.get();
  sources.pools = {{"quick", quick.get()}, {"walks", walks.get()}, {"cleanup", cleanup.get()}, {"lists", lists.get()}};
  sources.state = sampler.get();
  sources.recovery = recovery;
  metrics = std::make_unique<MetricsService>(address, *sampler, std::move(sources));
}

// First no calls, then no work for them, then the state.
Daemon::Parts::~Parts() {
  if (server != nullptr) server->Stop(kDrainLimit);
  metrics.reset();
  guard.reset();
  if (snapshotter != nullptr) snapshotter->Shutdown();
  if (applier != nullptr) applier->Shutdown();
  provider.reset();
  admin_calls.reset();
  cleanup.reset();
  lists.reset();
  walks.reset();
  quick.reset();
  applier.reset();
  backfill.reset();
  if (layers == nullptr) return;
  if (const absl::Status status = layers->SyncPublished(); !status.ok()) LOG(WARNING) << "stop: " << status.message();
}

Daemon::Daemon(std::unique_ptr<Parts> parts, std::string address)
    : parts_(std::move(parts)), address_(std::move(address)) {}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Create(const DaemonOptions& options) {
  if (geteuid() != 0) {
    return absl::PermissionDeniedError(
        "must run as root: containerd's snapshots need owners, devices and trusted xattrs");
  }
  auto parts = std::make_unique<Parts>();
  ASSIGN_OR_RETURN(parts->claim, SocketClaim::Take(options.address));
  RETURN_IF_ERROR(parts->OpenState(options));
  RETURN_IF_ERROR(parts->OpenProvider(options.config));
  RETURN_IF_ERROR(parts->Serve(options));
  if (options.config.metrics.address.has_value()) parts->ServeMetrics(*options.config.metrics.address);
  LOG(INFO) << "containerd-sluice-grpc " << kVersion << " serves " << options.address;
  return std::unique_ptr<Daemon>(new Daemon(std::move(parts), options.address));
}

absl::Status Daemon::ProveAlive(absl::Duration limit) {
  RETURN_IF_ERROR(AnswersAt(address_, limit));
  return parts_->metadata->Write([](MetadataWriter&) { return absl::OkStatus(); });
}

Daemon::~Daemon() = default;

}  // namespace sluice
