// The gRPC server on its Unix socket.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "snapshotter/service/diff_service.h"
#include "snapshotter/service/rpc_ledger.h"
#include "snapshotter/service/snapshots_service.h"
#include "snapshotter/service/socket_claim.h"

namespace sluice {

// Borrowed; null: not served.
struct ServedServices {
  SnapshotsService* snapshots = nullptr;
  DiffService* diff = nullptr;
  grpc::Service* admin = nullptr;
  RpcLedger* rpcs = nullptr;  // told of every call
};

// One thread at a time. Serves from Start() to Stop(). Beside the services there is grpc.health.v1: the server as a
// whole (""), Snapshots and Diff are SERVING while calls of containerd are admitted, Admin until Stop() begins.
class Server {
 public:
  // Listens for the services on the claimed path; containerd finds a socket there only once it is answered.
  static absl::StatusOr<std::unique_ptr<Server>> Start(std::unique_ptr<SocketClaim> claim,
                                                       const ServedServices& services);
  ~Server();

  // Health is NOT_SERVING and new calls are answered Unavailable from now on; those under way have until `limit` to
  // end, and are then cancelled. The socket is gone when this returns. Safe to call twice.
  void Stop(absl::Duration limit);

 private:
  Server(std::unique_ptr<SocketClaim> claim, const ServedServices& services, std::unique_ptr<grpc::Server> server);

  void FollowAdmission();

  std::unique_ptr<SocketClaim> claim_;
  const ServedServices services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sluice
