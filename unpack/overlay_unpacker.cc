#include "unpack/overlay_unpacker.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/disk_tree.h"
#include "unpack/interruption.h"
#include "unpack/layer_settler.h"
#include "unpack/layer_unpacking.h"
#include "unpack/metadata_policy.h"
#include "unpack/overlay_below.h"

namespace sluice {

class OverlayUnpacker::Impl {
 public:
  Impl(int directory_fd, UnpackOptions options)
      : directory_fd_(directory_fd),
        options_(std::move(options)),
        files_(directory_fd, PrivilegedMetadata()),
        unpacking_(files_, options_, Interruption(options_.cancellation)) {}

  absl::Status Stream(const LayerSource& source) {
    name_ = source.name;
    return Annotate(unpacking_.Stream(source), name_);
  }

  bool self_contained() const { return unpacking_.self_contained(); }

  absl::StatusOr<UnpackedLayer> Finish(absl::Span<const int> parent_fds) {
    absl::StatusOr<UnpackedLayer> layer = FinishLayer(parent_fds);
    if (!layer.ok()) return Annotate(layer.status(), name_);
    return layer;
  }

 private:
  absl::StatusOr<UnpackedLayer> FinishLayer(absl::Span<const int> parent_fds) {
    if (!self_contained()) {
      OverlayBelow below(unpacking_.tree(), files_, parent_fds);
      LayerSettler settler(unpacking_.tree(), below, Interruption(options_.cancellation));
      RETURN_IF_ERROR(settler.Settle());
    }
    if (::fchown(directory_fd_, 0, 0) != 0) return ErrnoStatus(errno, "fchown", "/");
    if (::fchmod(directory_fd_, 0755) != 0) return ErrnoStatus(errno, "fchmod", "/");
    ASSIGN_OR_RETURN(const DiskTree::Usage usage, files_.FinishUsage());
    UnpackedLayer layer = unpacking_.result();
    layer.usage_bytes = usage.bytes;
    layer.usage_inodes = usage.inodes;
    return layer;
  }

  const int directory_fd_;
  const UnpackOptions options_;
  DiskTree files_;
  LayerUnpacking unpacking_;
  std::string name_;
};

OverlayUnpacker::OverlayUnpacker(int directory_fd, UnpackOptions options)
    : impl_(std::make_unique<Impl>(directory_fd, std::move(options))) {}
OverlayUnpacker::~OverlayUnpacker() = default;

absl::Status OverlayUnpacker::Stream(const LayerSource& source) { return impl_->Stream(source); }
bool OverlayUnpacker::self_contained() const { return impl_->self_contained(); }
absl::StatusOr<UnpackedLayer> OverlayUnpacker::Finish(absl::Span<const int> parent_fds) {
  return impl_->Finish(parent_fds);
}

}  // namespace sluice
