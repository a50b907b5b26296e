// An image as one file: an archive of its tree, or a disk.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "cmd/image_arguments.h"
#include "cmd/staged_file.h"
#include "unpack/tar_writer.h"

namespace sluice {

struct DiskExportOptions {
  enum class Format { kErofs, kExt4 };
  Format format = Format::kErofs;
  bool journal = false;  // ext4
  std::string scratch;   // a directory with room for the tree
};

// NotFound: a program that ExportDisk will need is not installed.
absl::Status CheckDiskPrograms(const DiskExportOptions& options);

// Writes the tar of the tree to `sink`; not before every layer is verified. Errors: as ExportTar.
absl::Status ExportImageAsTar(const OpenedImage& opened, const TarWriter::Sink& sink, const Cancellation& cancellation);

// Writes the disk to `file`, by way of a tree in `scratch`. Owners, devices and attributes are exact, whoever calls it.
absl::Status ExportImageAsDisk(const OpenedImage& opened, const DiskExportOptions& options, StagedFile& file,
                               const Cancellation& cancellation);

}  // namespace sluice
