#include "cmd/verb_rollback.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/image_cache.h"
#include "cmd/image_rollback.h"
#include "cmd/messages.h"
#include "cmd/node_arguments.h"
#include "cmd/provider_options.h"
#include "cmd/terminal.h"
#include "registry/cache/blob_cache.h"
#include "registry/json.h"
#include "snapshotter/fill/image_origin.h"
#include "snapshotter/fill/layer_sources.h"
#include "snapshotter/service/backfill/image_backfill.h"
#include "snapshotter/service/containerd/content_store_client.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;

struct RollbackArguments {
  NodeArguments node;
  std::string cache;
};

std::string SourceOf(const FilledBlob& blob) { return blob.place.empty() ? "containerd" : blob.place; }

std::string Blobs(size_t count) { return absl::StrCat(count, count == 1 ? " blob" : " blobs"); }

std::string AsText(const RolledBackImage& image, bool dry_run) {
  std::string text = absl::StrCat(image.containerd_namespace, " ", absl::StrJoin(image.image.names, ", "), ": ");
  switch (image.action) {
    case RollbackAction::kNone:
      absl::StrAppend(&text, "whole");
      break;
    case RollbackAction::kFetch: {
      std::set<std::string> sources;
      for (const FilledBlob& blob : image.blobs) sources.insert(SourceOf(blob));
      absl::StrAppend(&text, dry_run ? "would fetch " : "fetched ", Blobs(image.missing), ", ",
                      FormatBytes(image.bytes()), ", from ", absl::StrJoin(sources, ", "));
      break;
    }
    case RollbackAction::kRemove:
      absl::StrAppend(&text, dry_run ? "would remove the image" : "removed the image",
                      ", the next start pulls it: ", image.reason.message());
      break;
    case RollbackAction::kKeep:
      absl::StrAppend(&text, "kept, remove container ", absl::StrJoin(image.containers, ", "),
                      " and run this again: ", image.reason.message());
      break;
    case RollbackAction::kFail:
      absl::StrAppend(&text, "failed: ", image.reason.message());
      break;
  }
  return OnOneLine(text) + "\n";
}

Json AsJson(const RolledBackImage& image) {
  Json blobs = Json::array();
  for (const FilledBlob& blob : image.blobs) {
    blobs.push_back({{"digest", blob.blob.digest.ToString()}, {"size", blob.blob.size}, {"source", SourceOf(blob)}});
  }
  return {{"namespace", image.containerd_namespace},
          {"names", image.image.names},
          {"manifest", image.image.manifest.ToString()},
          {"action", std::string(NameOf(image.action))},
          {"missing", image.missing},
          {"blobs", std::move(blobs)},
          {"bytes", image.bytes()},
          {"containers", image.containers},
          {"reason", std::string(image.reason.message())}};
}

// The first of those that are not ready.
absl::Status OutcomeOf(const std::vector<RolledBackImage>& images) {
  absl::Status first;
  size_t count = 0;
  for (const RolledBackImage& image : images) {
    if (image.action != RollbackAction::kKeep && image.action != RollbackAction::kFail) continue;
    ++count;
    const absl::Status reason =
        image.action == RollbackAction::kKeep ? absl::FailedPreconditionError("a container uses it") : image.reason;
    first.Update(Annotate(reason, image.image.names.front()));
  }
  if (count == 0) return absl::OkStatus();
  return Annotate(first, absl::StrCat(count, " of ", images.size(), " images not ready for another snapshotter"));
}

// Null if there is none: a node that is left shall not get a new one. Only who names one insists on it.
absl::StatusOr<std::unique_ptr<BlobCache>> OpenDaemonsCache(const RollbackArguments& arguments, const Config& config,
                                                            const Messages& messages) {
  const bool is_wanted = !arguments.cache.empty();
  const std::string path = is_wanted ? arguments.cache : absl::StrCat(kDefaultRoot, "/cache");
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    if (!is_wanted) return nullptr;
    return absl::NotFoundError(absl::StrCat("cache: ", path, ": no such directory"));
  }
  absl::StatusOr<std::unique_ptr<BlobCache>> cache = OpenCache(path, config);
  if (cache.ok() || is_wanted) return cache;
  messages.Warning(absl::StrCat("without a cache: ", cache.status().message()));
  return nullptr;
}

absl::Status Rollback(const RollbackArguments& arguments, const VerbContext& context) {
  ASSIGN_OR_RETURN(const Node node, OpenNode(arguments.node));
  ASSIGN_OR_RETURN(LayerProviderOptions options, ProviderOptions(node.config));
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobCache> cache, OpenDaemonsCache(arguments, node.config, context.messages));
  options.cache = cache.get();
  ContentStoreClient store(node.containerd);
  LayerSources sources(SourcesOf(options));
  OriginFinder origins(OriginsOf(options));
  ImageBackfill backfill({.containerd = node.containerd,
                          .store = &store,
                          .sources = &sources,
                          .origins = &origins,
                          .on_rejected =
                              [&context](const LayerOffer& offer, const absl::Status& reason) {
                                if (absl::IsNotFound(reason)) return;
                                context.messages.Warning(absl::StrCat("not used: ", offer.place, ": blob ",
                                                                      offer.blob.digest.ToString(), ": ",
                                                                      reason.message()));
                              },
                          .before_read = nullptr});
  ImageRollback rollback(node, store, backfill, arguments.node.dry_run);
  std::vector<RolledBackImage> images;
  absl::Status printed;
  const absl::Status done =
      rollback.Run(arguments.node.snapshotter, context.cancellation, [&](const RolledBackImage& image) {
        images.push_back(image);
        if (!arguments.node.json) printed.Update(PrintResult(AsText(image, arguments.node.dry_run)));
      });
  RETURN_IF_ERROR(AboutContainerd(done));
  RETURN_IF_ERROR(printed);
  if (arguments.node.json) {
    Json result = {{"schema", kSchema}, {"dryRun", arguments.node.dry_run}, {"images", Json::array()}};
    for (const RolledBackImage& image : images) result["images"].push_back(AsJson(image));
    RETURN_IF_ERROR(PrintJson(result));
  } else if (images.empty()) {
    context.messages.Line(absl::StrCat("no image was unpacked with ", arguments.node.snapshotter));
  }
  return OutcomeOf(images);
}

}  // namespace

void AddRollbackVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand(
      "rollback", "Fetch what containerd lacks of a node's images, so that another snapshotter can use them");
  const auto arguments = std::make_shared<RollbackArguments>();
  AddNodeArguments(*verb, arguments->node);
  verb->add_option("--cache", arguments->cache, "the daemon's blob cache; by default the one below its default root")
      ->type_name("DIR")
      ->check(IsGiven());
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Rollback(*arguments, context); }; });
}

}  // namespace sluice
