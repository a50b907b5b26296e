#include "cmd/verb_pull.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cmd/image_arguments.h"
#include "cmd/image_pull.h"
#include "cmd/terminal.h"
#include "registry/json.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct PullArguments {
  ImageArguments image;
  std::string address = "/run/containerd/containerd.sock";
  std::string containerd_namespace = "default";
  std::string snapshotter = "sluice";
  bool json = false;
};

int64_t CountOf(const std::vector<PulledLayer>& layers, LayerOutcome outcome) {
  int64_t count = 0;
  for (const PulledLayer& layer : layers) count += layer.outcome == outcome ? 1 : 0;
  return count;
}

absl::Status PrintJson(const ResolvedImage& image, const std::vector<PulledLayer>& layers, double seconds) {
  Json summary = {{"reference", image.reference.ToString()},
                  {"manifest", image.manifest.digest.ToString()},
                  {"foundIn", image.found_in},
                  {"layers", Json::array()},
                  {"seconds", seconds}};
  for (const PulledLayer& layer : layers) {
    summary["layers"].push_back({{"digest", layer.blob.digest.ToString()},
                                 {"size", layer.blob.size},
                                 {"outcome", std::string(Describe(layer.outcome))},
                                 {"seconds", layer.seconds}});
  }
  return PrintResult(summary.dump(2) + "\n");
}

void PrintSummary(const ResolvedImage& image, const std::vector<PulledLayer>& layers, double seconds) {
  absl::FPrintF(
      stderr,
      "%s: %d layers in %.2f s, %d already there, %d from the snapshotter, %d unpacked by containerd (%s from %s)\n",
      image.reference.ToString(), layers.size(), seconds, CountOf(layers, LayerOutcome::kPresent),
      CountOf(layers, LayerOutcome::kProvided), CountOf(layers, LayerOutcome::kUnpacked), image.manifest.digest.Short(),
      image.found_in);
}

absl::Status Pull(const PullArguments& arguments, const VerbContext& context) {
  const Clock::time_point start = Clock::now();
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context.cancellation));
  std::vector<PulledLayer> layers;
  const bool on_terminal = isatty(STDERR_FILENO) == 1 && !arguments.json;
  const auto on_layer = [&](const PulledLayer& layer) {
    layers.push_back(layer);
    if (!on_terminal) return;
    absl::FPrintF(stderr, "%s %s %s in %.2f s\n", layer.blob.digest.Short(), FormatBytes(layer.blob.size),
                  Describe(layer.outcome), layer.seconds);
  };
  const absl::Status pulled =
      PullImage(OpenContainerdChannel(arguments.address), *opened.source, opened.image,
                {.containerd_namespace = arguments.containerd_namespace, .snapshotter = arguments.snapshotter},
                context.cancellation, on_layer);
  if (!pulled.ok()) {
    return Annotate(pulled, absl::StrCat(opened.image.reference.ToString(), ": into ", arguments.address));
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (arguments.json) return PrintJson(opened.image, layers, seconds);
  PrintSummary(opened.image, layers, seconds);
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
  verb->add_flag("--json", arguments->json, "the result as JSON, on stdout");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Pull(*arguments, context); }; });
}

}  // namespace sluice
