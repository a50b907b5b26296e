// One layer's blob → one directory in overlayfs form: whiteouts as 0:0 devices and trusted.overlay.opaque, ready to be
// a lowerdir (OCI image-spec layer.md; kernel Documentation/filesystems/overlayfs.rst).
//
//   OverlayUnpacker unpacker(fs_fd, options);
//   RETURN_IF_ERROR(unpacker.Stream(source));                    // needs nothing but the blob
//   ASSIGN_OR_RETURN(UnpackedLayer layer, unpacker.Finish(parent_fds));  // fixes up what depends on the layers below
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "unpack/layer.h"

namespace sluice {

// One thread at a time. After an error the directory's content is undefined and the caller deletes it.
class OverlayUnpacker {
 public:
  // `directory_fd` is an empty directory, borrowed for the life of this object. It becomes the root of the layer: 0755,
  // 0:0, whatever the tar says of its root.
  OverlayUnpacker(int directory_fd, UnpackOptions options);
  ~OverlayUnpacker();
  OverlayUnpacker(const OverlayUnpacker&) = delete;
  OverlayUnpacker& operator=(const OverlayUnpacker&) = delete;

  // Reads the blob to its end, once: hashes, decompresses, hashes, writes all entries. What needs the layers below
  // (implied directories, whiteouts, links to names it has not written) is recorded, not waited for.
  // Errors: InvalidArgument bad tar, name or limit; DataLoss digest, diffID or size mismatch, or a corrupt compressed
  // stream; FailedPrecondition a legal layer that is better left to containerd; Cancelled; else as the source or the
  // file system gave it. Each names the layer and, where there is one, the entry.
  absl::Status Stream(const LayerSource& source);

  // After Stream(): whether Finish() will look at its parents.
  bool self_contained() const;

  // Fixes up from the parents and gives directories their times. `parent_fds` are the directories of the layers below
  // in overlay form, topmost first, borrowed; not looked at when self_contained().
  absl::StatusOr<UnpackedLayer> Finish(absl::Span<const int> parent_fds);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
