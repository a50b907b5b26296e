#include "cmd/verb_unpack.h"

#include <unistd.h>

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
#include "cmd/layer_sources.h"
#include "cmd/staged_directory.h"
#include "cmd/staged_file.h"
#include "cmd/terminal.h"
#include "registry/json.h"
#include "unpack/flat_unpacker.h"
#include "unpack/unprivileged_metadata.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct UnpackArguments {
  ImageArguments image;
  std::string directory;
  std::string metadata;  // "" when not given
  bool require_exact = false;
  bool json = false;
};

// Says what is not exact.
absl::StatusOr<InexactFiles> UnpackLayers(const OpenedImage& opened, int directory_fd,
                                          const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const std::vector<LayerSource> sources, LayerSources(opened, cancellation));
  ProgressBar progress(BlobBytes(opened.image));
  UnpackOptions options;
  options.cancellation = &cancellation;
  options.on_progress = [&progress](int64_t bytes) { progress.Add(bytes); };
  if (geteuid() == 0) {
    RETURN_IF_ERROR(UnpackFlat(directory_fd, sources, options).status());
    return InexactFiles();
  }
  UnprivilegedMetadata metadata(UnprivilegedMetadata::Purpose::kTree);
  RETURN_IF_ERROR(UnpackFlat(directory_fd, sources, options, metadata).status());
  return metadata.Finish(directory_fd, &cancellation);
}

// One line, for a warning as for an error.
std::string Describe(const InexactFiles& inexact) {
  return absl::StrCat("only root can make ", inexact.owners, " owners (noted in user.rootlesscontainers), ",
                      inexact.devices, " devices (empty files instead) and ", inexact.xattrs,
                      " extended attributes (left out); the first is /", absl::CHexEscape(inexact.example));
}

void PrintSummary(const UnpackArguments& arguments, const ResolvedImage& image, const InexactFiles& inexact,
                  double seconds) {
  if (inexact.any()) {
    absl::FPrintF(stderr, "sluicectl: WARNING: %s: %s\n", image.reference.ToString(), Describe(inexact));
  }
  if (!arguments.json) {
    absl::FPrintF(stderr, "%s: %d layers, %s, unpacked into %s in %.2f s (%s from %s)\n", image.reference.ToString(),
                  image.layers.size(), FormatBytes(BlobBytes(image)), arguments.directory, seconds,
                  image.manifest.digest.Short(), image.found_in);
    return;
  }
  const Json summary = {
      {"reference", image.reference.ToString()},
      {"manifest", image.manifest.digest.ToString()},
      {"foundIn", image.found_in},
      {"directory", arguments.directory},
      {"layers", image.layers.size()},
      {"bytes", BlobBytes(image)},
      {"inexact", {{"owners", inexact.owners}, {"devices", inexact.devices}, {"xattrs", inexact.xattrs}}},
      {"seconds", seconds}};
  const absl::Status printed =
      PrintResult(summary.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
  // The tree stands, and an exit code that says otherwise would be wrong.
  if (!printed.ok()) absl::FPrintF(stderr, "sluicectl: %s\n", std::string(printed.message()));
}

// After an error the caller discards `directory`, published or not.
absl::StatusOr<InexactFiles> UnpackInto(StagedDirectory& directory, std::optional<StagedFile>& metadata,
                                        const OpenedImage& opened, bool require_exact,
                                        const Cancellation& cancellation) {
  const absl::StatusOr<InexactFiles> inexact = UnpackLayers(opened, directory.fd(), cancellation);
  const std::string reference = opened.image.reference.ToString();
  if (!inexact.ok()) return Annotate(inexact.status(), reference);
  if (require_exact && inexact->any()) {
    return absl::FailedPreconditionError(absl::StrCat(reference, ": --require-exact: ", Describe(*inexact)));
  }
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Write(opened.image.image.metadata_json));
  RETURN_IF_ERROR(cancellation.Check());
  RETURN_IF_ERROR(directory.Publish());
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Publish());
  return inexact;
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
  const absl::StatusOr<InexactFiles> inexact =
      UnpackInto(directory, metadata, opened, arguments.require_exact, context.cancellation);
  if (!inexact.ok()) {
    const absl::Status discarded = directory.Discard();
    // Cleaning up never replaces the first error.
    if (!discarded.ok()) absl::FPrintF(stderr, "sluicectl: left behind: %s\n", std::string(discarded.message()));
    return inexact.status();
  }
  PrintSummary(arguments, opened.image, *inexact, std::chrono::duration<double>(Clock::now() - start).count());
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
  verb->add_flag(
      "--require-exact", arguments->require_exact,
      "fail where an ordinary user can't make what root can: foreign owners, devices, privileged attributes");
  verb->add_flag("--json", arguments->json, "on success print one JSON object to stdout");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Unpack(*arguments, context); }; });
}

}  // namespace sluice
