// The directory of a blob cache: which names are in it, and how they are opened, listed, replaced and removed. The
// layout is described in blob_cache.h.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/unique_fd.h"

namespace sluice {

enum class BlobPlace {
  kWhole,   // blobs/sha256/<hex>
  kIngest,  // ingest/<hex>
};

// A regular file under a blob's name.
struct CacheEntry {
  BlobPlace place = BlobPlace::kWhole;
  Digest digest;
  int64_t length = 0;  // bytes
  int64_t held = 0;    // bytes of the file system: more than `length` where a download reserved room for itself
  timespec used = {};  // mtime
};

// Held while the contents are counted, evicted or named; never during a download. Move-only.
class LayoutLock {
 private:
  friend class CacheDirectory;
  explicit LayoutLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// Const methods only; any thread. Errors name the path.
class CacheDirectory {
 public:
  // Makes what is missing: directories 0700, with the parents; files 0600. FailedPrecondition for a directory that has
  // something else than an OCI layout in it; else the errno.
  static absl::StatusOr<CacheDirectory> Open(const std::string& path);

  const std::string& path() const { return path_; }
  // The directory itself, open; owned here.
  int fd() const { return root_.get(); }
  std::string PathOf(BlobPlace place, const Digest& digest) const;

  // One at a time, among threads and processes.
  absl::StatusOr<LayoutLock> Lock(const Cancellation* cancellation) const;

  // Nothing if there is no regular file of that name.
  std::optional<CacheEntry> Find(BlobPlace place, const Digest& digest) const;
  // Least recently used first. Names that are no digest are other programs' temporary files, and left alone.
  absl::StatusOr<std::vector<CacheEntry>> List() const;

  // A file that is there, for reading. NotFound.
  absl::StatusOr<UniqueFd> OpenBlob(BlobPlace place, const Digest& digest) const;
  // For reading and writing; made, empty, if it is missing. What has its name and is no file is removed.
  absl::StatusOr<UniqueFd> OpenIngest(const Digest& digest) const;
  // True if `fd` is the very file that has the name.
  bool IsNamed(BlobPlace place, const Digest& digest, int fd) const;

  // ingest/<hex>, which `fd` has open, becomes blobs/sha256/<hex>, in place of what was there, and read-only.
  absl::Status Publish(const Digest& digest, int fd) const;
  // A missing one is success.
  absl::Status Remove(BlobPlace place, const Digest& digest) const;

  // NotFound if it is no regular file.
  absl::StatusOr<std::string> ReadIndex() const;
  // These replace the file as a whole; its content is on the disk when they return.
  absl::Status WriteIndex(const LayoutLock& lock, absl::string_view content) const;
  absl::Status WriteBlob(const LayoutLock& lock, const Digest& digest, absl::string_view content) const;

 private:
  CacheDirectory(std::string path, UniqueFd root) : path_(std::move(path)), root_(std::move(root)) {}

  absl::Status CheckLayout() const;
  absl::Status MakeLayout();
  int DirectoryOf(BlobPlace place) const;
  absl::Status AppendEntries(BlobPlace place, std::vector<CacheEntry>& entries) const;
  absl::Status Replace(const LayoutLock& lock, int directory, const std::string& name, absl::string_view content,
                       mode_t mode) const;

  std::string path_;
  UniqueFd root_;
  UniqueFd blobs_;  // blobs/sha256
  UniqueFd ingest_;
};

}  // namespace sluice
