#include "cmd/verb_repair.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "cmd/messages.h"
#include "cmd/node_arguments.h"
#include "cmd/snapshot_repair.h"
#include "cmd/terminal.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;

using Kind = SnapshotOwner::Kind;

const char* NameOf(Kind kind) {
  return kind == Kind::kImage ? "image" : kind == Kind::kContainer ? "container" : "pull";
}

std::string AsText(const RepairedOwner& repaired, bool dry_run) {
  const SnapshotOwner& owner = repaired.owner;
  std::string text =
      absl::StrCat(owner.containerd_namespace, " ", NameOf(owner.kind), " ", absl::StrJoin(owner.names, ", "), ": ",
                   repaired.lost.size(), repaired.lost.size() == 1 ? " snapshot" : " snapshots", " lost, ");
  if (repaired.removed) {
    absl::StrAppend(&text, dry_run ? "would forget " : "forgot ", repaired.lost.size() == 1 ? "it" : "them",
                    owner.kind == Kind::kImage ? ": the next pull brings the layers again" : "");
  } else if (owner.kind == Kind::kContainer) {
    absl::StrAppend(&text, "its file system: stop and remove the container (ctr -n ", owner.containerd_namespace,
                    " containers rm ", owner.names.front(), "; a pod: kubectl delete pod), then run this again");
  } else {
    absl::StrAppend(&text, "kept: ", repaired.reason);
  }
  return OnOneLine(text) + "\n";
}

Json AsJson(const RepairedOwner& repaired) {
  const SnapshotOwner& owner = repaired.owner;
  return {{"kind", NameOf(owner.kind)},  {"namespace", owner.containerd_namespace},
          {"names", owner.names},        {"snapshots", repaired.lost},
          {"removed", repaired.removed}, {"reason", repaired.reason}};
}

absl::Status OutcomeOf(const std::vector<RepairedOwner>& owners) {
  size_t kept = 0;
  for (const RepairedOwner& owner : owners) kept += owner.removed ? 0 : 1;
  if (kept == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(kept, " of ", owners.size(), " owners of lost snapshots wait until containers are removed"));
}

absl::Status Repair(const NodeArguments& arguments, const VerbContext& context) {
  ASSIGN_OR_RETURN(const Node node, OpenNode(arguments));
  ContentStoreClient store(node.containerd);
  SnapshotRepair repair(node, store, arguments.snapshotter, arguments.dry_run);
  std::vector<RepairedOwner> owners;
  absl::Status printed;
  const absl::Status done = repair.Run(context.cancellation, [&](const RepairedOwner& owner) {
    owners.push_back(owner);
    if (!arguments.json) printed.Update(PrintResult(AsText(owner, arguments.dry_run)));
  });
  RETURN_IF_ERROR(AboutContainerd(Annotate(done, node.address)));
  RETURN_IF_ERROR(printed);
  if (arguments.json) {
    Json result = {{"schema", kSchema}, {"dryRun", arguments.dry_run}, {"owners", Json::array()}};
    for (const RepairedOwner& owner : owners) result["owners"].push_back(AsJson(owner));
    RETURN_IF_ERROR(PrintJson(result));
  } else if (owners.empty()) {
    context.messages.Line(absl::StrCat("nothing to repair: ", arguments.snapshotter,
                                       " has every snapshot that images, containers and pulls refer to"));
  }
  return OutcomeOf(owners);
}

}  // namespace

void AddRepairVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand(
      "repair", "Have containerd forget snapshots that the snapshotter has lost, so that pulls work again");
  const auto arguments = std::make_shared<NodeArguments>();
  AddNodeArguments(*verb, *arguments);
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Repair(*arguments, context); }; });
}

}  // namespace sluice
