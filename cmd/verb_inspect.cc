#include "cmd/verb_inspect.h"

#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cmd/image_arguments.h"
#include "cmd/terminal.h"
#include "registry/json.h"

namespace sluice {
namespace {

struct InspectArguments {
  ImageArguments image;
  bool json = false;
};

Json DescriptorJson(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.ToString()}, {"size", descriptor.size}};
}

std::string AsJson(const ResolvedImage& image) {
  Json layers = Json::array();
  for (const ResolvedLayer& layer : image.layers) {
    Json entry = DescriptorJson(layer.blob);
    entry["diffID"] = layer.diff_id.ToString();
    layers.push_back(std::move(entry));
  }
  const Json document = {
      {"reference", image.reference.ToString()},
      {"foundIn", image.found_in},
      {"platform", image.image.platform.ToString()},
      {"manifest", DescriptorJson(image.manifest)},
      {"config", DescriptorJson(image.config)},
      {"layers", std::move(layers)},
      {"metadata", Json::parse(image.image.metadata_json)},
  };
  // What comes from outside was UTF-8 when it was parsed; a path on the command line may be anything.
  return document.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

std::string AsText(const ResolvedImage& image) {
  int64_t total = 0;
  for (const ResolvedLayer& layer : image.layers) total += layer.blob.size;
  std::string text =
      absl::StrCat("reference  ", image.reference.ToString(), "\n",                         //
                   "found in   ", image.found_in, "\n",                                     //
                   "platform   ", absl::CHexEscape(image.image.platform.ToString()), "\n",  //
                   "manifest   ", image.manifest.digest.ToString(), "  ", image.manifest.media_type, "\n",
                   "config     ", image.config.digest.ToString(), "  ", absl::CHexEscape(image.config.media_type), "\n",
                   "layers     ", image.layers.size(), ", ", FormatBytes(total), "\n");
  for (const ResolvedLayer& layer : image.layers) {
    absl::StrAppendFormat(&text, "  %s  %10s  %s\n", layer.blob.digest.ToString(), FormatBytes(layer.blob.size),
                          absl::CHexEscape(layer.blob.media_type));
  }
  absl::StrAppend(&text, "metadata\n", image.image.metadata_json);
  return text;
}

absl::Status Inspect(const InspectArguments& arguments, const VerbContext& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context.cancellation));
  return PrintResult(arguments.json ? AsJson(opened.image) : AsText(opened.image));
}

}  // namespace

void AddInspectVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb =
      app.add_subcommand("inspect", "Show an image's manifest and config; no layer is read, no root needed");
  const auto arguments = std::make_shared<InspectArguments>();
  AddImageArguments(*verb, arguments->image);
  verb->add_flag("--json", arguments->json, "one JSON object instead of text");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Inspect(*arguments, context); }; });
}

}  // namespace sluice
