// The gRPC server on its Unix socket.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "snapshotter/service/connection_gate.h"
#include "snapshotter/service/diff_service.h"
#include "snapshotter/service/peer_screen.h"
#include "snapshotter/service/refusing_service.h"
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

// Who is served. Without it everybody is.
struct PeerPolicy {
  std::function<Peer(pid_t)> judge = [](pid_t) { return Peer::kTool; };
  std::string refusal;  // what those hear who are not
};

// One thread at a time. Serves from Start() to Stop(). Beside the services there is grpc.health.v1: the server as a
// whole (""), Snapshots and Diff are SERVING while calls of containerd are admitted, Admin until Stop() begins.
class Server {
 public:
  // Listens for the services on the claimed path; containerd finds a socket there only once it is answered.
  static absl::StatusOr<std::unique_ptr<Server>> Start(std::unique_ptr<SocketClaim> claim,
                                                       const ServedServices& services, PeerPolicy policy = {});
  ~Server();

  // Health is NOT_SERVING and new calls are answered Unavailable from now on; those under way have until `limit` to
  // end, and are then cancelled. The socket is gone when this returns. Safe to call twice.
  void Stop(absl::Duration limit);

 private:
  using Door = grpc::experimental::ExternalConnectionAcceptor;

  // A gRPC server that listens nowhere: it answers on the connections that it is given.
  struct Behind {
    std::unique_ptr<Door> door;
    std::unique_ptr<grpc::Server> server;
  };

  Server(std::unique_ptr<SocketClaim> claim, const ServedServices& services, std::string refusal);

  absl::Status Open(std::function<Peer(pid_t)> judge);
  static Behind Build(grpc::ServerBuilder& builder);
  static void Give(const Behind& behind, UniqueFd connection);
  Behind BuildServing() const;
  Behind BuildRefusing();
  void FollowAdmission();

  std::unique_ptr<SocketClaim> claim_;
  const ServedServices services_;
  RefusingService refusal_;
  Behind serving_;
  Behind refusing_;
  std::unique_ptr<ConnectionGate> gate_;
};

}  // namespace sluice
