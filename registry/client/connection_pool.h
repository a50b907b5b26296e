// A bound on how many requests run at once, and the connections that earlier ones left open for later ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "registry/client/address_reach.h"

namespace sluice {

// Thread-safe. Made as a shared_ptr: leases keep it alive.
class ConnectionPool : public std::enable_shared_from_this<ConnectionPool> {
 public:
  // Open connections, of one request at a time.
  class Connections {
   public:
    virtual ~Connections() = default;
  };

 private:
  struct Reusable {
    std::unique_ptr<Connections> connections;
    AddressReach reach = AddressReach::kAnywhere;
    std::vector<std::string> origins;  // to which they may still be connected, latest last
  };

 public:
  // The right to run one request; given back when destroyed.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&&) = default;
    // A lease is never replaced by another.
    Lease& operator=(Lease&&) = delete;
    ~Lease();

    // Null if there are none to reuse: then the request makes some and puts them here.
    std::unique_ptr<Connections>& connections() { return reusable_.connections; }

   private:
    friend class ConnectionPool;
    std::shared_ptr<ConnectionPool> pool_;
    Reusable reusable_;
  };

  explicit ConnectionPool(int max_running) : max_running_(max_running) {}
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  // Waits until fewer than `max_running` requests run, then picks connections that have been to `origin`
  // ("https://host:443") where there are such. Those made for one `reach` never serve another: addresses are checked
  // when they are connected to. Cancelled, looked at every 50 ms.
  absl::StatusOr<Lease> Acquire(absl::string_view origin, AddressReach reach, const Cancellation* cancellation);

 private:
  void Return(Reusable reusable);

  const int max_running_;
  Mutex mutex_;
  CondVar freed_;
  int running_ SLUICE_GUARDED_BY(mutex_) = 0;
  std::vector<Reusable> idle_ SLUICE_GUARDED_BY(mutex_);  // latest last
};

}  // namespace sluice
