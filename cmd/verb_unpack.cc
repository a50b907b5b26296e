#include "cmd/verb_unpack.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/image_arguments.h"
#include "cmd/image_result.h"
#include "cmd/layer_sources.h"
#include "cmd/progress.h"
#include "cmd/staged_directory.h"
#include "cmd/staged_file.h"
#include "cmd/terminal.h"
#include "unpack/flat_unpacker.h"
#include "unpack/unprivileged_metadata.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct UnpackArguments {
  ImageArguments image;
  std::string directory;
  std::string metadata;  // "" when not given
  std::string progress;
  bool require_exact = false;
  bool json = false;
};

struct Unpacked {
  std::vector<LayerResult> layers;
  InexactFiles inexact;
};

absl::StatusOr<Unpacked> UnpackLayers(const OpenedImage& opened, int directory_fd, Progress& progress,
                                      const Cancellation& cancellation) {
  Unpacked unpacked;
  ASSIGN_OR_RETURN(const std::vector<LayerSource> sources,
                   MakeLayerSources(opened, cancellation, progress, unpacked.layers));
  UnpackOptions options;
  options.cancellation = &cancellation;
  UnprivilegedMetadata ordinary(UnprivilegedMetadata::Purpose::kTree);
  const bool privileged = geteuid() == 0;
  const absl::StatusOr<std::vector<UnpackedLayer>> layers =
      privileged ? UnpackFlat(directory_fd, sources, options) : UnpackFlat(directory_fd, sources, options, ordinary);
  if (!layers.ok()) {
    return Annotate(DropDamagedLayers(opened, unpacked.layers, layers.status()), opened.image.reference.ToString());
  }
  for (size_t i = 0; i < unpacked.layers.size(); ++i) unpacked.layers[i].seconds = (*layers)[i].seconds;
  if (!privileged) {
    ASSIGN_OR_RETURN(unpacked.inexact, ordinary.Finish(directory_fd, &cancellation));
  }
  return unpacked;
}

// One line, for a warning as for an error.
std::string Describe(const InexactFiles& inexact) {
  return absl::StrCat("only root can make ", inexact.owners, " owners (noted in user.rootlesscontainers), ",
                      inexact.devices, " devices (empty files instead) and ", inexact.xattrs,
                      " extended attributes (left out); the first is /", absl::CHexEscape(inexact.example));
}

// The tree stands: that its summary can't be printed is no reason for an exit code that says otherwise.
void PrintSummary(const UnpackArguments& arguments, const ResolvedImage& image, const Unpacked& unpacked,
                  double seconds, const Messages& messages) {
  const InexactFiles& inexact = unpacked.inexact;
  if (inexact.any()) messages.Warning(absl::StrCat(image.reference.ToString(), ": ", Describe(inexact)));
  Json result = ResultJson(image, unpacked.layers, seconds);
  result["directory"] = arguments.directory;
  result["inexact"] = {{"owners", inexact.owners}, {"devices", inexact.devices}, {"xattrs", inexact.xattrs}};
  messages.Event("done", {{"bytes", result["bytes"]}, {"seconds", result["seconds"]}});
  if (arguments.json) {
    const absl::Status printed = PrintJson(result);
    if (!printed.ok()) messages.Warning(printed.message());
  } else if (arguments.progress != "none") {
    messages.Line(absl::StrFormat("%s: %d layers, %s, unpacked into %s in %.2f s (%s from %s)",
                                  image.reference.ToString(), image.layers.size(), FormatBytes(BlobBytes(image)),
                                  arguments.directory, seconds, image.manifest.digest.Short(), image.found_in));
  }
}

// After an error the caller discards `directory`, published or not.
absl::StatusOr<Unpacked> UnpackInto(StagedDirectory& directory, std::optional<StagedFile>& metadata,
                                    const OpenedImage& opened, bool require_exact, Progress& progress,
                                    const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(Unpacked unpacked, UnpackLayers(opened, directory.fd(), progress, cancellation));
  if (require_exact && unpacked.inexact.any()) {
    return absl::FailedPreconditionError(
        absl::StrCat(opened.image.reference.ToString(), ": --require-exact: ", Describe(unpacked.inexact)));
  }
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Write(opened.image.image.metadata_json));
  RETURN_IF_ERROR(cancellation.Check());
  RETURN_IF_ERROR(directory.Publish());
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Publish());
  // The tree stands, whatever becomes of the cache.
  opened.source->KeepName(opened.image).IgnoreError();
  return unpacked;
}

absl::Status Unpack(const UnpackArguments& arguments, const VerbContext& context) {
  const Clock::time_point start = Clock::now();
  // The cheap reasons to fail first: both places are made before the image is looked for.
  ASSIGN_OR_RETURN(StagedDirectory directory, StagedDirectory::Create(arguments.directory, &context.cancellation));
  std::optional<StagedFile> metadata;
  if (!arguments.metadata.empty()) {
    ASSIGN_OR_RETURN(StagedFile file, StagedFile::Create(arguments.metadata));
    metadata.emplace(std::move(file));
  }
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context));
  std::unique_ptr<Progress> progress = Progress::Create(arguments.progress, opened.image, context.messages);
  const absl::StatusOr<Unpacked> unpacked =
      UnpackInto(directory, metadata, opened, arguments.require_exact, *progress, context.cancellation);
  progress.reset();
  if (!unpacked.ok()) {
    const absl::Status discarded = directory.Discard();
    // Cleaning up never replaces the first error.
    if (!discarded.ok()) context.messages.Warning(absl::StrCat("left behind: ", discarded.message()));
    return unpacked.status();
  }
  PrintSummary(arguments, opened.image, *unpacked, std::chrono::duration<double>(Clock::now() - start).count(),
               context.messages);
  return absl::OkStatus();
}

}  // namespace

void AddUnpackVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand("unpack", "Unpack an image's layers into one directory, a root file system");
  const auto arguments = std::make_shared<UnpackArguments>();
  AddImageArguments(*verb, arguments->image);
  verb->add_option("DIR", arguments->directory, "an empty directory, or one that does not exist yet")
      ->required()
      ->check(IsGiven());
  verb->add_option("--metadata", arguments->metadata,
                   "write the config's fields (Entrypoint, Cmd, Env, WorkingDir, ...) to FILE as JSON, on success only")
      ->type_name("FILE")
      ->check(IsGiven());
  verb->add_flag(
      "--require-exact", arguments->require_exact,
      "fail where an ordinary user can't make what root can: foreign owners, devices, privileged attributes");
  AddProgressOption(*verb, arguments->progress);
  verb->add_flag("--json", arguments->json, "on success print one JSON object to stdout");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Unpack(*arguments, context); }; });
}

}  // namespace sluice
