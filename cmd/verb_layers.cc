#include "cmd/verb_layers.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cmd/admin_client.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/terminal.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;

struct LayersArguments {
  std::string address = kDefaultAddress;
  bool json = false;
};

Json ToJson(const admin_v1::Layer& layer) {
  Json users = Json::array();
  for (const admin_v1::LayerUser& user : layer.users()) {
    users.push_back({{"snapshotter", user.snapshotter()}, {"key", user.key()}});
  }
  return {{"id", layer.id()},
          {"diffId", layer.diff_id()},
          {"chainId", layer.chain_id().empty() ? Json() : Json(layer.chain_id())},
          {"blob", layer.blob_digest()},
          {"bytes", layer.bytes()},
          {"users", std::move(users)}};
}

std::string ToText(const admin_v1::Layer& layer) {
  std::string text = absl::StrFormat("%s  %10s  %s\n", layer.diff_id(), FormatBytes(layer.bytes()),
                                     layer.users().empty() ? "unclaimed" : absl::StrCat(layer.users_size(), " users"));
  for (const admin_v1::LayerUser& user : layer.users()) {
    absl::StrAppend(&text, "  ", absl::Utf8SafeCHexEscape(user.snapshotter()), "  ",
                    absl::Utf8SafeCHexEscape(user.key()), "\n");
  }
  return text;
}

absl::Status List(const LayersArguments& arguments, const VerbContext& context) {
  AdminClient daemon(arguments.address, context.cancellation);
  ASSIGN_OR_RETURN(const std::vector<admin_v1::Layer> layers, daemon.Layers());
  Json result = {{"schema", kSchema}, {"bytes", 0}, {"layers", Json::array()}};
  std::string text;
  int64_t bytes = 0;
  for (const admin_v1::Layer& layer : layers) {
    bytes += layer.bytes();
    result["layers"].push_back(ToJson(layer));
    absl::StrAppend(&text, ToText(layer));
  }
  result["bytes"] = bytes;
  if (arguments.json) return PrintJson(result);
  return PrintResult(absl::StrCat(text, layers.size(), " layers, ", FormatBytes(bytes), "\n"));
}

absl::Status Prune(const LayersArguments& arguments, const VerbContext& context) {
  AdminClient daemon(arguments.address, context.cancellation);
  ASSIGN_OR_RETURN(const admin_v1::PruneLayersResponse pruned, daemon.PruneLayers());
  if (arguments.json) {
    return PrintJson({{"schema", kSchema}, {"layers", pruned.layers()}, {"freedBytes", pruned.bytes()}});
  }
  context.messages.Line(absl::StrCat(pruned.layers(), " layers removed, ", FormatBytes(pruned.bytes()), " freed"));
  return absl::OkStatus();
}

using Work = absl::Status (*)(const LayersArguments& arguments, const VerbContext& context);

void AddSubcommand(CLI::App& verb, const char* name, const char* description, Work work,
                   const std::shared_ptr<LayersArguments>& arguments, VerbRun& run) {
  CLI::App* subcommand = verb.add_subcommand(name, description);
  subcommand->add_option("--address", arguments->address, "the daemon's socket")
      ->type_name("PATH")
      ->check(IsGiven())
      ->capture_default_str();
  subcommand->add_flag("--json", arguments->json, "one JSON object instead of text");
  subcommand->callback([arguments, work, &run] {
    run = [arguments, work](const VerbContext& context) { return work(*arguments, context); };
  });
}

}  // namespace

void AddLayersVerb(CLI::App& app, VerbRun& run) {
  const auto arguments = std::make_shared<LayersArguments>();
  CLI::App* verb = app.add_subcommand("layers", "The layers that the daemon has unpacked");
  verb->require_subcommand(1);
  AddSubcommand(*verb, "ls", "List them, and the snapshots that use them", List, arguments, run);
  AddSubcommand(*verb, "prune", "Remove those that no snapshot uses", Prune, arguments, run);
}

}  // namespace sluice
