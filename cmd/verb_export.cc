#include "cmd/verb_export.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/image_arguments.h"
#include "cmd/image_export.h"
#include "cmd/image_result.h"
#include "cmd/progress.h"
#include "cmd/staged_file.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kTar[] = "tar";
constexpr char kErofs[] = "erofs";
constexpr char kExt4[] = "ext4";
constexpr char kStdout[] = "-";

struct ExportArguments {
  ImageArguments image;
  std::string format;
  std::string file;
  std::string metadata;  // "" when not given
  bool force = false;
  bool journal = false;
  std::string progress;
  bool json = false;
};

// $TMPDIR, or where the file will be.
std::string ScratchDirectory(const std::string& file) {
  const char* const directory = std::getenv("TMPDIR");
  if (directory != nullptr && *directory != '\0') return directory;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash + 1);
}

DiskExportOptions DiskOptions(const ExportArguments& arguments) {
  return {.format = arguments.format == kErofs ? DiskExportOptions::Format::kErofs : DiskExportOptions::Format::kExt4,
          .journal = arguments.journal,
          .scratch = ScratchDirectory(arguments.file)};
}

// What does not go together is a usage error.
void CheckUsage(const ExportArguments& arguments) {
  if (arguments.journal && arguments.format != kExt4) throw CLI::ValidationError("--journal", "only ext4 has one");
  if (arguments.format != kTar && arguments.file == kStdout) {
    throw CLI::ValidationError("OUT", "only a tar can be written to standard output");
  }
  if (arguments.file == kStdout && arguments.json) {
    throw CLI::ValidationError("--json", "standard output is taken by the tar");
  }
}

// What can be known before any work.
absl::Status Check(const ExportArguments& arguments) {
  if (arguments.file == kStdout && isatty(STDOUT_FILENO) == 1) {
    return absl::FailedPreconditionError("-: standard output is a terminal");
  }
  return arguments.format == kTar ? absl::OkStatus() : CheckDiskPrograms(DiskOptions(arguments));
}

absl::StatusOr<std::optional<StagedFile>> StageOut(const ExportArguments& arguments) {
  if (arguments.file == kStdout) return std::nullopt;
  const auto existing = arguments.force ? StagedFile::Existing::kReplaced : StagedFile::Existing::kRefused;
  absl::StatusOr<StagedFile> file = StagedFile::Create(arguments.file, existing);
  if (file.ok()) return std::optional<StagedFile>(*std::move(file));
  const bool exists = access(arguments.file.c_str(), F_OK) == 0 && !arguments.force;
  return exists ? absl::FailedPreconditionError(absl::StrCat(file.status().message(), " (--force replaces a file)"))
                : file.status();
}

absl::StatusOr<int64_t> ExportTar(const OpenedImage& opened, std::optional<StagedFile>& out, ExportContext& context) {
  int64_t bytes = 0;
  const auto write = [&](absl::string_view piece) {
    bytes += static_cast<int64_t>(piece.size());
    return out.has_value() ? out->Append(piece) : PrintResult(piece);
  };
  RETURN_IF_ERROR(ExportImageAsTar(opened, write, context));
  if (out.has_value()) RETURN_IF_ERROR(out->Sync());
  return bytes;
}

absl::StatusOr<int64_t> ExportDisk(const OpenedImage& opened, const DiskExportOptions& options, StagedFile& out,
                                   ExportContext& context) {
  RETURN_IF_ERROR(ExportImageAsDisk(opened, options, out, context));
  struct stat written = {};
  if (fstat(out.fd(), &written) != 0) return ErrnoStatus(errno, "fstat", options.scratch);
  return written.st_size;
}

// How many bytes the file has.
absl::StatusOr<int64_t> ExportImage(const ExportArguments& arguments, const OpenedImage& opened,
                                    std::optional<StagedFile>& out, ExportContext& context) {
  const absl::StatusOr<int64_t> bytes = arguments.format == kTar
                                            ? ExportTar(opened, out, context)
                                            : ExportDisk(opened, DiskOptions(arguments), *out, context);
  if (!bytes.ok()) return Annotate(bytes.status(), opened.image.reference.ToString());
  RETURN_IF_ERROR(context.cancellation.Check());
  return bytes;
}

absl::Status Publish(std::optional<StagedFile>& out, std::optional<StagedFile>& metadata, const ResolvedImage& image) {
  if (metadata.has_value()) RETURN_IF_ERROR(metadata->Write(image.image.metadata_json));
  if (out.has_value()) RETURN_IF_ERROR(out->Publish());
  if (!metadata.has_value()) return absl::OkStatus();
  const absl::Status published = metadata->Publish();
  if (!published.ok() && out.has_value()) out->Withdraw();
  return published;
}

// The file stands: that its summary can't be printed is no reason for an exit code that says otherwise.
void PrintSummary(const ExportArguments& arguments, const ResolvedImage& image, const std::vector<LayerResult>& layers,
                  int64_t bytes, double seconds, const Messages& messages) {
  Json result = ResultJson(image, layers, seconds);
  result["format"] = arguments.format;
  result["file"] = arguments.file;
  result["fileBytes"] = bytes;
  messages.Event("done", {{"bytes", result["bytes"]}, {"seconds", result["seconds"]}});
  if (arguments.json) {
    const absl::Status printed = PrintJson(result);
    if (!printed.ok()) messages.Warning(printed.message());
  } else if (arguments.progress != "none") {
    messages.Line(absl::StrFormat("%s: %d layers exported as %s to %s, %s, in %.2f s (%s from %s)",
                                  image.reference.ToString(), image.layers.size(), arguments.format,
                                  arguments.file == kStdout ? "standard output" : arguments.file, FormatBytes(bytes),
                                  seconds, image.manifest.digest.Short(), image.found_in));
  }
}

absl::Status Export(const ExportArguments& arguments, const VerbContext& context) {
  const Clock::time_point start = Clock::now();
  RETURN_IF_ERROR(Check(arguments));
  ASSIGN_OR_RETURN(std::optional<StagedFile> out, StageOut(arguments));
  std::optional<StagedFile> metadata;
  if (!arguments.metadata.empty()) {
    ASSIGN_OR_RETURN(StagedFile file, StagedFile::Create(arguments.metadata));
    metadata.emplace(std::move(file));
  }
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(arguments.image, context));
  std::unique_ptr<Progress> progress = Progress::Create(arguments.progress, opened.image, context.messages);
  ExportContext exporting{context.cancellation, context.messages, *progress};
  const absl::StatusOr<int64_t> bytes = ExportImage(arguments, opened, out, exporting);
  progress.reset();
  RETURN_IF_ERROR(bytes.status());
  RETURN_IF_ERROR(Publish(out, metadata, opened.image));
  // The file stands, whatever becomes of the cache.
  opened.source->KeepName(opened.image).IgnoreError();
  PrintSummary(arguments, opened.image, exporting.layers, *bytes,
               std::chrono::duration<double>(Clock::now() - start).count(), context.messages);
  return absl::OkStatus();
}

}  // namespace

void AddExportVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand(
      "export",
      "Write an image's root file system into one file: an archive, or a disk for a virtual machine. An ordinary user "
      "gets the same as root. A disk is made of a tree in $TMPDIR or beside OUT, which needs the room meanwhile, by "
      "mkfs.erofs (erofs-utils) or mkfs.ext4 (e2fsprogs), for an ordinary user under fakeroot. The same image gives "
      "the "
      "same bytes.");
  const auto arguments = std::make_shared<ExportArguments>();
  AddImageArguments(*verb, arguments->image);
  verb->add_option("OUT", arguments->file,
                   "the file, which appears when it is whole; one that exists is refused unless --force is given; - is "
                   "standard output, for a tar")
      ->required()
      ->check(IsGiven());
  verb->add_option("--format", arguments->format,
                   "tar; erofs, read-only and compressed (lz4); or ext4, with a sixteenth of room left and lost+found")
      ->required()
      ->check(CLI::IsMember({kTar, kErofs, kExt4}));
  verb->add_flag("--force", arguments->force, "replace the file OUT");
  verb->add_flag("--journal", arguments->journal, "give an ext4 a journal, of 16 MiB");
  verb->add_option("--metadata", arguments->metadata,
                   "write the config's fields (Entrypoint, Cmd, Env, WorkingDir, ...) to FILE as JSON, on success only")
      ->type_name("FILE")
      ->check(IsGiven());
  AddProgressOption(*verb, arguments->progress);
  verb->add_flag("--json", arguments->json, "on success print one JSON object to stdout");
  verb->callback([arguments, &run] {
    CheckUsage(*arguments);
    run = [arguments](const VerbContext& context) { return Export(*arguments, context); };
  });
}

}  // namespace sluice
