#include "cmd/image_export.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "cmd/disk_image.h"
#include "cmd/fakeroot_state.h"
#include "cmd/layer_sources.h"
#include "cmd/program.h"
#include "cmd/staged_directory.h"
#include "unpack/flat_unpacker.h"
#include "unpack/tar_export.h"
#include "unpack/unprivileged_metadata.h"

namespace sluice {
namespace {

using Format = DiskExportOptions::Format;

bool IsRoot() { return ::geteuid() == 0; }

// The tree, and what is to be said of it.
class ScratchTree {
 public:
  static absl::StatusOr<ScratchTree> Create(const std::string& scratch, const Cancellation& cancellation) {
    ASSIGN_OR_RETURN(StagedDirectory directory, StagedDirectory::CreateScratch(scratch, &cancellation));
    ScratchTree tree(std::move(directory));
    const int parent = tree.directory_.fd();
    if (::mkdirat(parent, kTreeName, 0755) != 0) return ErrnoStatus(errno, "mkdirat", kTreeName);
    tree.fd_.Reset(::openat(parent, kTreeName, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!tree.fd_.valid()) return ErrnoStatus(errno, "openat", kTreeName);
    return tree;
  }

  absl::Status Fill(const OpenedImage& opened, ExportContext& context) {
    ASSIGN_OR_RETURN(const std::vector<LayerSource> sources,
                     MakeLayerSources(opened, context.cancellation, context.progress, context.layers));
    UnpackOptions options;
    options.cancellation = &context.cancellation;
    source_.directory_fd = directory_.fd();
    source_.tree_fd = fd_.get();
    source_.seed = opened.image.manifest.digest;
    const absl::Status filled = IsRoot() ? FillAsRoot(sources, options) : FillAsUser(sources, options);
    return DropDamagedLayers(opened, context.layers, filled);
  }

  const DiskSource& source() const { return source_; }
  absl::Status Discard() { return directory_.Discard(); }

 private:
  explicit ScratchTree(StagedDirectory directory) : directory_(std::move(directory)) {}

  absl::Status FillAsRoot(const std::vector<LayerSource>& sources, const UnpackOptions& options) {
    RETURN_IF_ERROR(UnpackFlat(fd_.get(), sources, options).status());
    return NoteRoot(/*is_ours=*/false);
  }

  absl::Status FillAsUser(const std::vector<LayerSource>& sources, const UnpackOptions& options) {
    UnprivilegedMetadata metadata(UnprivilegedMetadata::Purpose::kImage);
    RETURN_IF_ERROR(UnpackFlat(fd_.get(), sources, options, metadata).status());
    RETURN_IF_ERROR(NoteRoot(/*is_ours=*/true));
    ASSIGN_OR_RETURN(fakeroot_, FakerootState::Create(directory_.fd(), kTreeName));
    const auto add = [this](const UnprivilegedMetadata::InexactFile& file) {
      if (file.path.empty()) {
        source_.root_mode = file.mode;
        source_.root_uid = file.uid;
        source_.root_gid = file.gid;
      }
      return fakeroot_->Add(file);
    };
    RETURN_IF_ERROR(metadata.Finish(fd_.get(), options.cancellation, add).status());
    source_.fakeroot = &*fakeroot_;
    return fakeroot_->Finish();
  }

  // What is the calling user's stands for root's.
  absl::Status NoteRoot(bool is_ours) {
    struct stat attributes = {};
    if (::fstat(fd_.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", kTreeName);
    source_.root_mode = attributes.st_mode;
    source_.root_uid = is_ours ? 0 : attributes.st_uid;
    source_.root_gid = is_ours ? 0 : attributes.st_gid;
    return absl::OkStatus();
  }

  StagedDirectory directory_;
  UniqueFd fd_;
  std::optional<FakerootState> fakeroot_;
  DiskSource source_;
};

absl::Status MakeDisk(const DiskSource& source, const DiskExportOptions& options, const StagedFile& file,
                      const ExportContext& context) {
  if (options.format == Format::kExt4) {
    return MakeExt4(source, file.TemporaryPath(), file.fd(), options.journal, context.cancellation);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> left_out,
                   MakeErofs(source, file.TemporaryPath(), context.cancellation));
  if (!left_out.empty()) {
    context.messages.Warning(absl::StrFormat("mkfs.erofs has left out %d empty lost+found; the first is /%s",
                                             left_out.size(), absl::CHexEscape(left_out.front())));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDiskPrograms(const DiskExportOptions& options) {
  const bool erofs = options.format == Format::kErofs;
  RETURN_IF_ERROR(FindProgram(erofs ? "mkfs.erofs" : "mkfs.ext4", erofs ? "erofs-utils" : "e2fsprogs").status());
  return IsRoot() ? absl::OkStatus() : FindProgram("fakeroot", "fakeroot").status();
}

absl::Status ExportImageAsTar(const OpenedImage& opened, const TarWriter::Sink& sink, ExportContext& context) {
  ASSIGN_OR_RETURN(const std::vector<LayerSource> sources,
                   MakeLayerSources(opened, context.cancellation, context.progress, context.layers));
  UnpackOptions options;
  options.cancellation = &context.cancellation;
  return DropDamagedLayers(opened, context.layers, ExportTar(sources, options, sink).status());
}

absl::Status ExportImageAsDisk(const OpenedImage& opened, const DiskExportOptions& options, StagedFile& file,
                               ExportContext& context) {
  ASSIGN_OR_RETURN(ScratchTree tree, ScratchTree::Create(options.scratch, context.cancellation));
  absl::Status status = tree.Fill(opened, context);
  if (status.ok()) status = MakeDisk(tree.source(), options, file, context);
  if (status.ok()) status = file.Sync();
  const absl::Status discarded = tree.Discard();
  // Cleaning up changes nothing of how it ended.
  if (!discarded.ok()) context.messages.Warning(absl::StrCat("left behind: ", discarded.message()));
  return status;
}

}  // namespace sluice
