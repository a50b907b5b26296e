// The arguments of the verbs that look after all images of a node's containerd.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cmd/config.h"
#include "grpcpp/channel.h"

namespace sluice {

struct NodeArguments {
  std::string config;  // "" when not given, as all of these
  std::string address;
  std::vector<std::string> namespaces;  // none: all
  std::string snapshotter = "sluice";
  bool dry_run = false;
  bool json = false;
};

// `arguments` is borrowed and outlives the parsing.
void AddNodeArguments(CLI::App& verb, NodeArguments& arguments);

// What a verb works on.
struct Node {
  Config config;
  std::string address;  // of containerd: --address, else the configuration's
  std::shared_ptr<grpc::Channel> containerd;
  std::vector<std::string> all_namespaces;
  std::vector<std::string> namespaces;  // the wanted ones
};

// Errors: as LoadConfig; Unavailable if containerd does not answer; NotFound for a namespace that is not there.
absl::StatusOr<Node> OpenNode(const NodeArguments& arguments);

// What containerd calls an invalid argument is the call, such as a snapshotter it does not know, never an image.
absl::Status AboutContainerd(const absl::Status& status);

}  // namespace sluice
