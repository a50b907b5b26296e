// One file in ingest/: a blob while it arrives, or what is left of an interrupted download.
//
// The protocol, between threads and processes:
//  - Who holds the exclusive lock of the file, while the file has its name, is its downloader: it alone appends to it,
//    renames and removes it. The kernel frees the lock when the downloader dies, however it dies.
//  - A lock counts only if the file still has the name once it is locked: it may have been published, given up or
//    evicted between open and flock.
//  - Bytes are only ever appended, never changed and never cut off. A file that is no good loses its name; who has it
//    open sees that, and starts anew or goes on without it.
//  - Those who read a file that has all its bytes share the lock, so that it is not evicted.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/digest.h"
#include "base/unique_fd.h"
#include "registry/cache/cache_directory.h"

namespace sluice {

// Move-only; one thread at a time. `directory` is borrowed. Closing it frees the lock; what was written stays, for the
// next one.
class Ingest {
 public:
  enum class Holder {
    kSelf,
    kOther,
    kNone,  // The file lost its name: nobody will append to it any more.
  };

  // Opens, or makes, the file that has the name now. Without a lock.
  static absl::StatusOr<Ingest> Open(const CacheDirectory& directory, const Digest& digest);

  // Who is the downloader; this one from here on, if there was none.
  Holder TryHold();
  // For a follower, once all bytes are there. False if the downloader is not done.
  bool TryShare();

  int fd() const { return fd_.get(); }
  // How far it got, bytes.
  int64_t Length() const;
  bool HasOtherNames() const;
  // As pread(2).
  absl::StatusOr<size_t> Read(int64_t offset, absl::Span<char> buffer) const;

  // REQUIRES, for all of these: TryHold() said kSelf.
  // All of `bytes`, at `offset`, which is Length().
  absl::Status Append(int64_t offset, absl::string_view bytes);
  // Puts the file, whose content the caller has verified, in its place; its lock becomes a shared one. After an error
  // the file has no name any more.
  absl::Status Publish();
  // Takes its name.
  absl::Status Discard();

 private:
  Ingest(const CacheDirectory& directory, const Digest& digest, UniqueFd fd);

  const CacheDirectory* directory_;
  Digest digest_;
  UniqueFd fd_;
  int64_t written_back_ = 0;  // offset up to which the kernel was told to write to the disk
};

}  // namespace sluice
