// An image as one file: an archive of its tree, or a disk.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "cmd/image_arguments.h"
#include "cmd/image_result.h"
#include "cmd/messages.h"
#include "cmd/progress.h"
#include "cmd/staged_file.h"
#include "unpack/tar_writer.h"

namespace sluice {

struct DiskExportOptions {
  enum class Format { kErofs, kExt4 };
  Format format = Format::kErofs;
  bool journal = false;  // ext4
  std::string scratch;   // a directory with room for the tree
};

// What the work is told and what it tells; all borrowed but `layers`.
struct ExportContext {
  const Cancellation& cancellation;
  const Messages& messages;
  Progress& progress;
  std::vector<LayerResult> layers = {};  // as MakeLayerSources
};

// NotFound: a program that ExportDisk will need is not installed.
absl::Status CheckDiskPrograms(const DiskExportOptions& options);

// Writes the tar of the tree to `sink`; not before every layer is verified. Errors: as ExportTar.
absl::Status ExportImageAsTar(const OpenedImage& opened, const TarWriter::Sink& sink, ExportContext& context);

// Writes the disk to `file`, by way of a tree in `scratch`. Owners, devices and attributes are exact, whoever calls it.
absl::Status ExportImageAsDisk(const OpenedImage& opened, const DiskExportOptions& options, StagedFile& file,
                               ExportContext& context);

}  // namespace sluice
