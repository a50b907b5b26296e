// A tree that belongs to an ordinary user, who can't give files away, make devices or set privileged attributes.
// Source: umoci 0.4 rootless mode (oci/layer/tar_extract.go, utils.go); the extended attribute
// "user.rootlesscontainers" is https://github.com/rootless-containers/proto: the protobuf {uint32 uid = 1; uint32 gid =
// 2}, 4294967295 for root.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "unpack/metadata_policy.h"

namespace sluice {

// What of the tree is not on the disk as the image has it; each file once, whatever its number of names.
struct InexactFiles {
  int64_t owners = 0;   // the user's instead of their own; "root's" is no owner of its own here
  int64_t devices = 0;  // empty files
  int64_t xattrs = 0;   // left out
  std::string example;  // path of the first

  bool any() const { return owners > 0 || devices > 0 || xattrs > 0; }
};

// Everything belongs to the calling user. What he can't put on the disk is remembered by inode number until Finish().
// All trees that share this are on one file system.
class UnprivilegedMetadata : public MetadataPolicy {
 public:
  enum class Purpose {
    // The tree is the result: owners of files and directories are noted in "user.rootlesscontainers".
    kTree,
    // The tree is what an image is made from: nothing but content, names and times need be on the disk, and every file
    // can be read; all else is given to Finish()'s visitor.
    kImage,
  };

  // A file whose metadata in the image is not what is on the disk.
  struct InexactFile {
    absl::string_view path;  // below the root, "" is the root itself; of several names any
    ino_t inode = 0;
    mode_t mode = 0;  // with the type
    uid_t uid = 0;
    gid_t gid = 0;
    dev_t device = 0;
    const std::vector<ExtendedAttribute>* xattrs = nullptr;  // those that are not on the disk
  };
  using Visitor = absl::FunctionRef<absl::Status(const InexactFile& file)>;

  explicit UnprivilegedMetadata(Purpose purpose);

  // After the last change of the tree at `root_fd`, which is complete: visits every file that differs, gives files and
  // directories their own modes (kTree; until then those that their owner could not read or enter can be), and counts.
  // Cancelled; or as the visitor and the system calls gave it.
  absl::StatusOr<InexactFiles> Finish(int root_fd, const Cancellation* cancellation, Visitor visit);
  absl::StatusOr<InexactFiles> Finish(int root_fd, const Cancellation* cancellation);

  int MakeNode(int directory_fd, const char* name, mode_t mode, dev_t device) override;
  void Made(const struct stat& on_disk, mode_t type, dev_t device) override;
  absl::Status Apply(const FileRef& file, const struct stat& on_disk, const FileMetadata& metadata, bool with_times,
                     absl::string_view path) override;
  struct stat InImage(const struct stat& on_disk) const override;
  absl::StatusOr<FileMetadata> Read(const FileRef& file, const struct stat& on_disk,
                                    absl::string_view path) const override;
  absl::Status RemoveOtherXattrs(int directory_fd, const FileMetadata& metadata, absl::string_view path) override;

 private:
  // Kept for files that differ from the disk. Most are root's, can be read by their owner, and have none.
  struct Record {
    mode_t mode = 0;  // with the type
    uid_t uid = 0;
    gid_t gid = 0;
    dev_t device = 0;
  };
  using Xattrs = std::vector<ExtendedAttribute>;

  Record RecordOf(const struct stat& on_disk) const SLUICE_REQUIRES(mutex_);
  FileMetadata Possible(const FileMetadata& as_root, mode_t disk_type, Xattrs& refused) const;
  bool HasOwnerXattr(const struct stat& on_disk) const;
  absl::Status Remember(const struct stat& on_disk, const FileMetadata& metadata, mode_t disk_mode, Xattrs refused,
                        absl::string_view path);
  absl::Status Settle(int directory_fd, const char* name, absl::string_view path, const struct stat& on_disk,
                      Visitor visit, InexactFiles& counts);

  const Purpose purpose_;
  const uid_t uid_;
  const gid_t gid_;

  mutable Mutex mutex_;
  absl::flat_hash_map<ino_t, Record> records_ SLUICE_GUARDED_BY(mutex_);
  absl::flat_hash_map<ino_t, Xattrs> refused_ SLUICE_GUARDED_BY(mutex_);
  size_t refused_bytes_ SLUICE_GUARDED_BY(mutex_) = 0;  // of all that ever came in
};

}  // namespace sluice
