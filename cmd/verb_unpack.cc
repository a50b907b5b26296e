#include "cmd/verb_unpack.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cmd/image_arguments.h"
#include "cmd/staged_directory.h"
#include "cmd/staged_file.h"
#include "cmd/terminal.h"
#include "registry/json.h"
#include "unpack/flat_unpacker.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct UnpackArguments {
  ImageArguments image;
  std::string directory;
  std::string metadata;  // "" when not given
  bool json = false;
};

int64_t BlobBytes(const ResolvedImage& image) {
  int64_t total = 0;
  for (const ResolvedLayer& layer : image.layers) total += layer.blob.size;
  return total;
}

// The layers as unpack/ takes them. `opened` and `cancellation` are borrowed by them.
absl::StatusOr<std::vector<LayerSource>> LayerSources(const OpenedImage& opened, const Cancellation& cancellation) {
  const ResolvedImage& image = opened.image;
  std::vector<LayerSource> sources;
  for (const ResolvedLayer& layer : image.layers) {
    LayerSource source;
    source.name = absl::StrCat("layer ", sources.size() + 1, " of ", image.layers.size(), " (",
                               opened.source->PlaceOf(image.reference, layer.blob), ")");
    if (!IsTarLayer(layer.blob)) {
      return absl::InvalidArgumentError(absl::StrCat(image.reference.ToString(), ": ", source.name, ": media type \"",
                                                     absl::CHexEscape(layer.blob.media_type), "\" is not a tar layer"));
    }
    source.open = [&opened, &layer, &cancellation] {
      return opened.source->OpenLayer(opened.image.reference, layer.blob, &cancellation);
    };
    source.expected = {.blob_digest = layer.blob.digest, .blob_bytes = layer.blob.size, .diff_id = layer.diff_id};
    sources.push_back(std::move(source));
  }
  return sources;
}

absl::Status UnpackLayers(const OpenedImage& opened, int directory_fd, const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const std::vector<LayerSource> sources, LayerSources(opened, cancellation));
  ProgressBar progress(BlobBytes(opened.image));
  UnpackOptions options;
  options.cancellation = &cancellation;
  options.on_progress = [&progress](int64_t bytes) { progress.Add(bytes); };
  const absl::StatusOr<std::vector<UnpackedLayer>> layers = UnpackFlat(directory_fd, sources, options);
  return Annotate(layers.status(), opened.image.reference.ToString());
}

void PrintSummary(const UnpackArguments& arguments, const ResolvedImage& image, double seconds) {
  if (!arguments.json) {
    absl::FPrintF(stderr, "%s: %d layers, %s, unpacked into %s in %.2f s (%s from %s)\n", image.reference.ToString(),
                  image.layers.size(), FormatBytes(BlobBytes(image)), arguments.directory, seconds,
                  image.manifest.digest.Short(), image.found_in);
    return;
  }
  const Json summary = {{"reference", image.reference.ToString()},
                        {"manifest", image.manifest.digest.ToString()},
                        {"foundIn", image.found_in},
                        {"directory", arguments.directory},
                        {"layers", image.layers.size()},
                        {"bytes", BlobBytes(image)},
                        {"seconds", seconds}};
  const absl::Status printed =
      PrintResult(summary.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
  // The tree stands, and an exit code that says otherwise would be wrong.
  if (!printed.ok()) absl::FPrintF(stderr, "sluicectl: %s\n", std::string(printed.message()));
}

// After an error the caller discards `directory`, published or not.
absl::Status UnpackInto(StagedDirectory& directory, std::optional<StagedFile>& metadata, const OpenedImage& opened,
                        const Cancellation& cancellation) {
  RETURN_IF_ERROR(UnpackLayers(opened, directory.fd(), cancellation));
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Write(opened.image.image.metadata_json));
  RETURN_IF_ERROR(cancellation.Check());
  RETURN_IF_ERROR(directory.Publish());
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Publish());
  return absl::OkStatus();
}

absl::Status Unpack(const UnpackArguments& arguments, const VerbContext& context) {
  const Clock::time_point start = Clock::now();
  // The cheap reasons to fail first: both places are made before the image is looked for.
  ASSIGN_OR_RETURN(StagedDirectory directory, StagedDirectory::Create(arguments.directory));
  std::optional<StagedFile> metadata;
  if (!arguments.metadata.empty()) {
    ASSIGN_OR_RETURN(StagedFile file, StagedFile::Create(arguments.metadata));
    metadata.emplace(std::move(file));
  }
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context.cancellation));
  const absl::Status status = UnpackInto(directory, metadata, opened, context.cancellation);
  if (!status.ok()) {
    const absl::Status discarded = directory.Discard();
    // Cleaning up never replaces the first error.
    if (!discarded.ok()) absl::FPrintF(stderr, "sluicectl: left behind: %s\n", std::string(discarded.message()));
    return status;
  }
  PrintSummary(arguments, opened.image, std::chrono::duration<double>(Clock::now() - start).count());
  return absl::OkStatus();
}

}  // namespace

void AddUnpackVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand("unpack", "Unpack an image's layers into one directory, a root file system");
  const auto arguments = std::make_shared<UnpackArguments>();
  AddImageArguments(*verb, arguments->image);
  verb->add_option("DIR", arguments->directory, "an empty directory, or one that does not exist yet")->required();
  verb->add_option("--metadata", arguments->metadata,
                   "write the config's fields (Entrypoint, Cmd, Env, WorkingDir, ...) to FILE as JSON, on success only")
      ->type_name("FILE");
  verb->add_flag("--json", arguments->json, "on success print one JSON object to stdout");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Unpack(*arguments, context); }; });
}

}  // namespace sluice
