// The calls of one piece of work as a client of containerd: one namespace, one lease, one way to interrupt it.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace sluice {

// Thread-safe. Calls that are under way are cancelled within 100 ms of `cancellation`.
class ContainerdSession {
 public:
  // `cancellation` is borrowed.
  ContainerdSession(std::shared_ptr<grpc::Channel> channel, std::string containerd_namespace,
                    const Cancellation& cancellation);
  ~ContainerdSession();
  ContainerdSession(const ContainerdSession&) = delete;
  ContainerdSession& operator=(const ContainerdSession&) = delete;

  // Every call from now on names this lease: what it makes is kept from garbage collection until the lease ends.
  void set_lease_id(std::string lease_id) { lease_id_ = std::move(lease_id); }
  const std::string& lease_id() const { return lease_id_; }

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& containerd_namespace() const { return namespace_; }
  const Cancellation& cancellation() const { return cancellation_; }

 private:
  friend class ContainerdCall;

  void Watch();

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string namespace_;
  const Cancellation& cancellation_;
  std::string lease_id_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ SLUICE_GUARDED_BY(mutex_) = false;
  std::vector<grpc::ClientContext*> calls_ SLUICE_GUARDED_BY(mutex_);
  std::thread watcher_;
};

// The context of one call; lives as long as the call.
class ContainerdCall {
 public:
  enum class Kind {
    kInterruptible,
    kCleanup,  // goes on when the session is cancelled; gives up after a few seconds
  };

  explicit ContainerdCall(ContainerdSession& session, Kind kind = Kind::kInterruptible);
  ~ContainerdCall();
  ContainerdCall(const ContainerdCall&) = delete;
  ContainerdCall& operator=(const ContainerdCall&) = delete;

  grpc::ClientContext* context() { return &context_; }

 private:
  ContainerdSession& session_;
  grpc::ClientContext context_;
};

}  // namespace sluice
