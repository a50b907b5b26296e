// The daemon: every part joined, from the directories up to the socket.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
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

  // Whether it does its work: a call over its own socket is answered, and the metadata can be written. An error says
  // what is not so after `limit`; does not return while another thread holds the metadata for ever. Thread-safe.
  absl::Status ProveAlive(absl::Duration limit);

 private:
  struct Parts;
  Daemon(std::unique_ptr<Parts> parts, std::string address);

  std::unique_ptr<Parts> parts_;
  const std::string address_;
};

}  // namespace sluice
