#include "unpack/metadata_policy.h"

namespace sluice {
namespace {

class Privileged : public MetadataPolicy {
 public:
  int MakeNode(int directory_fd, const char* name, mode_t mode, dev_t device) override {
    return ::mknodat(directory_fd, name, mode, device);
  }
  void Made(const struct stat& /*on_disk*/, mode_t /*type*/, dev_t /*device*/) override {}
  absl::Status Apply(const FileRef& file, const struct stat& on_disk, const FileMetadata& metadata, bool with_times,
                     absl::string_view path) override {
    return ApplyMetadata(file, on_disk, metadata, with_times, path);
  }
  struct stat InImage(const struct stat& on_disk) const override {
    return on_disk;
  }
  absl::StatusOr<FileMetadata> Read(const FileRef& file, const struct stat& on_disk,
                                    absl::string_view path) const override {
    return ReadMetadata(file, on_disk, path);
  }
  absl::Status RemoveOtherXattrs(int directory_fd, const FileMetadata& metadata, absl::string_view path) override {
    return ::sluice::RemoveOtherXattrs(directory_fd, metadata, path);
  }
};

}  // namespace

MetadataPolicy& PrivilegedMetadata() {
  static Privileged policy;
  return policy;
}

}  // namespace sluice
