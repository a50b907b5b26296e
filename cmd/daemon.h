// The daemon: every part joined, from the directories up to the socket.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cmd/config.h"

namespace sluice {

struct DaemonOptions {
  std::string address = kDefaultAddress;
  std::string root = kDefaultRoot;
  std::string config_path;  // where `config` was read from, for messages
  Config config;
};

// Serves from Create() until it is destroyed.
class Daemon {
 public:
  // Refuses, with cause and mend: not root, a root that is in use or can't hold layers, an address that is served, a
  // database of a newer version. containerd need not be there, nor the network.
  static absl::StatusOr<std::unique_ptr<Daemon>> Create(const DaemonOptions& options);

  // Ends within seconds, whatever is under way: calls are answered Unavailable, fills are cut short, nothing that is
  // committed is deleted.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

 private:
  struct Parts;
  explicit Daemon(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice
