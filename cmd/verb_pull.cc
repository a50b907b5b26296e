#include "cmd/verb_pull.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "cmd/image_arguments.h"
#include "cmd/image_pull.h"
#include "cmd/image_result.h"
#include "cmd/node_arguments.h"
#include "cmd/progress.h"
#include "cmd/terminal.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct PullArguments {
  ImageArguments image;
  std::string address = "/run/containerd/containerd.sock";
  std::string containerd_namespace = "default";
  std::string snapshotter = "sluice";
  std::string progress;
  bool json = false;
};

// In the words of --json, with the one who has the layer or gave it.
LayerOrigin OriginOf(const PulledLayer& layer, const PullArguments& arguments) {
  switch (layer.outcome) {
    case LayerOutcome::kPresent:
      return {"present", arguments.address};
    case LayerOutcome::kProvided:
      return {"snapshotter", arguments.snapshotter};
    case LayerOutcome::kUnpacked:
      break;
  }
  return {"containerd", layer.source};
}

int64_t CountOf(absl::Span<const LayerResult> layers, absl::string_view strategy) {
  int64_t count = 0;
  for (const LayerResult& layer : layers) count += layer.origin.strategy == strategy ? 1 : 0;
  return count;
}

// The image is there: that its summary can't be printed is no reason for an exit code that says otherwise.
void PrintSummary(const PullArguments& arguments, const ResolvedImage& image, absl::Span<const LayerResult> layers,
                  double seconds, const Messages& messages) {
  const Json result = ResultJson(image, layers, seconds);
  messages.Event("done", {{"bytes", result["bytes"]}, {"seconds", result["seconds"]}});
  if (arguments.json) {
    const absl::Status printed = PrintJson(result);
    if (!printed.ok()) messages.Warning(printed.message());
  } else if (arguments.progress != "none") {
    messages.Line(absl::StrFormat(
        "%s: %d layers in %.2f s, %d already there, %d from the snapshotter, %d unpacked by containerd (%s from %s)",
        image.reference.ToString(), layers.size(), seconds, CountOf(layers, "present"), CountOf(layers, "snapshotter"),
        CountOf(layers, "containerd"), image.manifest.digest.Short(), image.found_in));
  }
}

absl::Status Pull(const PullArguments& arguments, const VerbContext& context) {
  const Clock::time_point start = Clock::now();
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context));
  std::unique_ptr<Progress> progress = Progress::Create(arguments.progress, opened.image, context.messages);
  std::vector<LayerResult> layers;
  const auto on_layer = [&](size_t k, const PulledLayer& layer) {
    layers.push_back({OriginOf(layer, arguments), layer.seconds});
    progress->Open(k, layers.back().origin);
    progress->Add(k, opened.image.layers[k].blob.size);
  };
  const absl::Status pulled =
      PullImage(OpenContainerdChannel(arguments.address), *opened.source, opened.image,
                {.containerd_namespace = arguments.containerd_namespace, .snapshotter = arguments.snapshotter},
                context.cancellation, on_layer);
  progress.reset();
  if (!pulled.ok()) {
    return Annotate(AboutContainerd(pulled),
                    absl::StrCat(opened.image.reference.ToString(), ": into ", arguments.address));
  }
  PrintSummary(arguments, opened.image, layers, std::chrono::duration<double>(Clock::now() - start).count(),
               context.messages);
  return absl::OkStatus();
}

}  // namespace

void AddPullVerb(CLI::App& app, VerbRun& run) {
  auto arguments = std::make_shared<PullArguments>();
  CLI::App* verb = app.add_subcommand(
      "pull",
      "Put an image into containerd, offering each layer to the snapshotter before containerd is given its blob. For "
      "containerd's clients that never do so, such as ctr 1.6.");
  AddImageArguments(*verb, arguments->image);
  verb->add_option("--address", arguments->address, "containerd's socket")
      ->envname("CONTAINERD_ADDRESS")
      ->capture_default_str();
  verb->add_option("--namespace", arguments->containerd_namespace, "containerd's namespace")
      ->envname("CONTAINERD_NAMESPACE")
      ->capture_default_str();
  verb->add_option("--snapshotter", arguments->snapshotter, "the snapshotter's name in containerd's configuration")
      ->capture_default_str();
  AddProgressOption(*verb, arguments->progress);
  verb->add_flag("--json", arguments->json, "on success print one JSON object to stdout");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Pull(*arguments, context); }; });
}

}  // namespace sluice
