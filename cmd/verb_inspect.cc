#include "cmd/verb_inspect.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cmd/image_arguments.h"
#include "cmd/image_result.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

struct InspectArguments {
  ImageArguments image;
  bool json = false;
};

Json AsJson(const ResolvedImage& image) {
  Json document = ImageJson(image);
  document["config"] = DescriptorJson(image.config);
  document["metadata"] = Json::parse(image.image.metadata_json);
  document["layers"] = Json::array();
  for (const ResolvedLayer& layer : image.layers) {
    Json entry = DescriptorJson(layer.blob);
    entry["diffId"] = layer.diff_id.ToString();
    document["layers"].push_back(std::move(entry));
  }
  return document;
}

std::string AsText(const ResolvedImage& image) {
  std::string text =
      absl::StrCat("reference  ", image.reference.ToString(), "\n",                         //
                   "found in   ", image.found_in, "\n",                                     //
                   "platform   ", absl::CHexEscape(image.image.platform.ToString()), "\n",  //
                   "manifest   ", image.manifest.digest.ToString(), "  ", image.manifest.media_type, "\n",
                   "config     ", image.config.digest.ToString(), "  ", absl::CHexEscape(image.config.media_type), "\n",
                   "layers     ", image.layers.size(), ", ", FormatBytes(BlobBytes(image)), "\n");
  for (const ResolvedLayer& layer : image.layers) {
    absl::StrAppendFormat(&text, "  %s  %10s  %s\n", layer.blob.digest.ToString(), FormatBytes(layer.blob.size),
                          absl::CHexEscape(layer.blob.media_type));
  }
  absl::StrAppend(&text, "metadata\n", image.image.metadata_json);
  return text;
}

absl::Status Inspect(const InspectArguments& arguments, const VerbContext& context) {
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context));
  return arguments.json ? PrintJson(AsJson(opened.image)) : PrintResult(AsText(opened.image));
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
