#include "cmd/node_arguments.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/namespace_client.h"

namespace sluice {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);

// As a table of proxy_plugins can be called.
CLI::Validator IsSnapshotter() {
  return CLI::Validator(
      [](std::string& text) {
        const bool is_name = !text.empty() && absl::c_all_of(text, [](unsigned char c) {
          return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
        });
        return std::string(is_name ? "" : "is no snapshotter's name");
      },
      "");
}

}  // namespace

void AddNodeArguments(CLI::App& verb, NodeArguments& arguments) {
  verb.add_flag("--dry-run", arguments.dry_run, "say what would be done, and do nothing");
  verb.add_option("--namespace", arguments.namespaces, "containerd's namespace; may be repeated; by default all")
      ->type_name("NAME")
      ->check(IsGiven());
  verb.add_option("--snapshotter", arguments.snapshotter, "the snapshotter's name in containerd's configuration")
      ->type_name("NAME")
      ->check(IsSnapshotter())
      ->capture_default_str();
  verb.add_option("--address", arguments.address, "containerd's socket; by default the configuration's")
      ->envname("CONTAINERD_ADDRESS")
      ->type_name("PATH")
      ->check(IsGiven());
  verb.add_option("--config", arguments.config, "the daemon's configuration; by default its own, if there is one")
      ->type_name("FILE")
      ->check(IsGiven());
  verb.add_flag("--json", arguments.json, "one JSON object instead of text");
}

absl::StatusOr<Node> OpenNode(const NodeArguments& arguments) {
  Node node;
  ASSIGN_OR_RETURN(node.config, LoadConfig(arguments.config.empty() ? kDefaultConfigPath : arguments.config));
  node.address = arguments.address.empty() ? node.config.containerd.address : arguments.address;
  node.containerd = OpenContainerdChannel(node.address);
  absl::StatusOr<std::vector<std::string>> all = ListNamespaces(node.containerd, absl::Now() + kCallTimeout);
  if (!all.ok()) return Annotate(all.status(), node.address);
  node.all_namespaces = *std::move(all);
  for (const std::string& wanted : arguments.namespaces) {
    if (!absl::c_linear_search(node.all_namespaces, wanted)) {
      return absl::NotFoundError(absl::StrCat(node.address, ": there is no namespace ", wanted));
    }
    if (!absl::c_linear_search(node.namespaces, wanted)) node.namespaces.push_back(wanted);
  }
  if (node.namespaces.empty()) node.namespaces = node.all_namespaces;
  return node;
}

absl::Status AboutContainerd(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? absl::FailedPreconditionError(status.message()) : status;
}

}  // namespace sluice
