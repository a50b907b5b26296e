// Who puts an image's metadata on the disk, and how much of it the kernel lets him.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/file_metadata.h"

namespace sluice {

// What goes in and comes out is what the image says; the stat's are the disk's. Thread-safe: the layers of one tree
// share a policy.
class MetadataPolicy {
 public:
  virtual ~MetadataPolicy() = default;

  // Makes a device or a fifo, `mode` with its type: 0, or -1 with errno.
  virtual int MakeNode(int directory_fd, const char* name, mode_t mode, dev_t device) = 0;
  // To be called on every file, directory or node when it was made, before anything else. `type` and `device` are the
  // image's.
  virtual void Made(const struct stat& on_disk, mode_t type, dev_t device) = 0;
  // As ApplyMetadata.
  virtual absl::Status Apply(const FileRef& file, const struct stat& on_disk, const FileMetadata& metadata,
                             bool with_times, absl::string_view path) = 0;

  // Type, mode, owner and device as the image has them.
  virtual struct stat InImage(const struct stat& on_disk) const = 0;
  // As ReadMetadata.
  virtual absl::StatusOr<FileMetadata> Read(const FileRef& file, const struct stat& on_disk,
                                            absl::string_view path) const = 0;
  // As the function of this name.
  virtual absl::Status RemoveOtherXattrs(int directory_fd, const FileMetadata& metadata, absl::string_view path) = 0;
};

// For root: all is put on the disk as it is.
MetadataPolicy& PrivilegedMetadata();

}  // namespace sluice
