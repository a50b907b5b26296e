#include "cmd/verb_explain.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cmd/image_arguments.h"
#include "cmd/image_cache.h"
#include "cmd/image_result.h"
#include "cmd/layer_explanation.h"
#include "cmd/provider_options.h"
#include "cmd/terminal.h"
#include "registry/client/docker_credentials.h"
#include "snapshotter/fill/layer_sources.h"

namespace sluice {
namespace {

struct ExplainArguments {
  ImageArguments image;
  bool json = false;
};

// Whose credentials the registry would be shown; "" for nobody's. What a helper says is not looked at.
absl::StatusOr<std::string> CredentialsFor(const Reference& reference, const Config& config,
                                           const Cancellation& cancellation) {
  DockerCredentialOptions options = DockerCredentialOptions::FromEnvironment();
  if (!config.registry.docker_config.empty()) options.docker_config = config.registry.docker_config;
  ASSIGN_OR_RETURN(const std::optional<Credentials> credentials,
                   MakeDockerCredentials(options)->Find(reference.host, reference.repository, &cancellation));
  return credentials.has_value() ? credentials->source : "";
}

LayerWanted WantedOf(const ResolvedImage& image, const ResolvedLayer& layer, Locality locality) {
  LayerWanted wanted;
  wanted.image = image.reference.ToString();
  if (IsTarLayer(layer.blob)) wanted.blobs.push_back({.digest = layer.blob.digest, .size = layer.blob.size});
  wanted.locality = locality;
  wanted.endpoints = {{image.reference.host, image.reference.repository}};
  return wanted;
}

// What the daemon would be offered: with its stores, its cache and its policies.
absl::StatusOr<std::vector<ExplainedLayer>> ExplainLayers(const ResolvedImage& image, const Config& config,
                                                          BlobCache* cache, const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(LayerProviderOptions provider, ProviderOptions(config));
  const Locality locality = provider.locality.Classify(image.reference.host);
  LayerSources sources({.stores = std::move(provider.stores),
                        .cache = cache,
                        .open_remote = std::move(provider.open_remote),
                        .locality = provider.locality,
                        .policies = std::move(provider.policies)});
  std::vector<ExplainedLayer> layers;
  for (const ResolvedLayer& layer : image.layers) {
    const LayerWanted wanted = WantedOf(image, layer, locality);
    layers.push_back(ExplainLayer(wanted, sources.Find(wanted, cancellation)));
  }
  return layers;
}

std::string AsText(const ResolvedImage& image, const std::vector<ExplainedLayer>& layers,
                   const std::string& credentials) {
  std::string text =
      absl::StrCat("reference    ", image.reference.ToString(), "\n", "manifest     ", image.manifest.digest.ToString(),
                   "\n", "credentials  ", credentials.empty() ? "none" : credentials, "\n");
  for (size_t i = 0; i < layers.size(); ++i) {
    const ExplainedLayer& layer = layers[i];
    const ExplainedRung& taken = layer.rungs[layer.taken];
    absl::StrAppendFormat(&text, "%s  %s\n  %s  %s  %s over the network\n", image.layers[i].blob.digest.ToString(),
                          FormatBytes(image.layers[i].blob.size), taken.strategy, taken.source,
                          FormatBytes(layer.bytes_to_move));
    for (size_t k = 0; k < layer.rungs.size(); ++k) {
      const ExplainedRung& rung = layer.rungs[k];
      if (k == layer.taken) continue;
      absl::StrAppend(&text, "    not ", rung.strategy, rung.source.empty() ? "" : absl::StrCat(" ", rung.source), ": ",
                      rung.reason, "\n");
    }
  }
  return text;
}

absl::Status Explain(const ExplainArguments& arguments, const VerbContext& context) {
  ASSIGN_OR_RETURN(const Config config, LoadSettings(arguments.image));
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context));
  const ResolvedImage& image = opened.image;
  std::unique_ptr<BlobCache> cache;
  if (!arguments.image.no_cache) {
    absl::StatusOr<std::unique_ptr<BlobCache>> found = OpenCache(arguments.image.cache, config);
    if (found.ok()) cache = *std::move(found);
  }
  ASSIGN_OR_RETURN(const std::vector<ExplainedLayer> layers,
                   ExplainLayers(image, config, cache.get(), context.cancellation));
  ASSIGN_OR_RETURN(const std::string credentials, CredentialsFor(image.reference, config, context.cancellation));
  if (!arguments.json) return PrintResult(AsText(image, layers, credentials));
  Json result = ImageJson(image);
  result["credentials"] = credentials.empty() ? Json() : Json(credentials);
  result["layers"] = Json::array();
  for (size_t i = 0; i < layers.size(); ++i) {
    Json layer = ToJson(layers[i]);
    layer.update(DescriptorJson(image.layers[i].blob));
    result["layers"].push_back(std::move(layer));
  }
  return PrintJson(result);
}

}  // namespace

void AddExplainVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand(
      "explain", "Show how the daemon would get each layer of an image, and why not otherwise; no layer is read");
  const auto arguments = std::make_shared<ExplainArguments>();
  AddImageArguments(*verb, arguments->image);
  verb->add_flag("--json", arguments->json, "one JSON object instead of text");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Explain(*arguments, context); }; });
}

}  // namespace sluice
