// Makes one file of a tree on the disk: with content, a symlink, a device, a fifo.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "unpack/file_tree.h"
#include "unpack/metadata_policy.h"
#include "unpack/tar_entry.h"

namespace sluice {

// Used once.
class DiskFile {
 public:
  // All are borrowed; `path` is for messages.
  DiskFile(int directory_fd, const std::string& name, absl::string_view path, MetadataPolicy& policy)
      : directory_fd_(directory_fd), name_(name), path_(path), policy_(policy) {}

  // False if something has that name.
  absl::StatusOr<bool> Make(const TarEntry& entry, ContentSource content);
  // Puts the metadata on what was made, and gives its stat as it was before.
  absl::StatusOr<struct stat> Finish(const TarEntry& entry, bool may_have_inherited_acl);

 private:
  absl::Status WriteContent(const TarEntry& entry, ContentSource content);
  absl::StatusOr<bool> Made(int result, absl::string_view operation) const;

  const int directory_fd_;
  const std::string& name_;
  const absl::string_view path_;
  MetadataPolicy& policy_;
  UniqueFd fd_;      // of files with content
  mode_t type_ = 0;  // of nodes
  dev_t device_ = 0;
};

}  // namespace sluice
