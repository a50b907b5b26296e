#include "registry/cache/ingest.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/errno_status.h"
#include "base/status_macros.h"
#include "registry/cache/file_lock.h"

namespace sluice {
namespace {

constexpr int64_t kWriteBackBytes = 8 << 20;

}  // namespace

Ingest::Ingest(const CacheDirectory& directory, const Digest& digest, UniqueFd fd)
    : directory_(&directory), digest_(digest), fd_(std::move(fd)) {}

absl::StatusOr<Ingest> Ingest::Open(const CacheDirectory& directory, const Digest& digest) {
  ASSIGN_OR_RETURN(UniqueFd fd, directory.OpenIngest(digest));
  return Ingest(directory, digest, std::move(fd));
}

Ingest::Holder Ingest::TryHold() {
  if (!directory_->IsNamed(BlobPlace::kIngest, digest_, fd_.get())) return Holder::kNone;
  if (!TryLock(fd_.get(), LOCK_EX)) return Holder::kOther;
  if (directory_->IsNamed(BlobPlace::kIngest, digest_, fd_.get())) return Holder::kSelf;
  // Published in between: others want to read it too.
  TryLock(fd_.get(), LOCK_SH);
  return Holder::kNone;
}

bool Ingest::TryShare() { return TryLock(fd_.get(), LOCK_SH); }

int64_t Ingest::Length() const {
  struct stat attributes = {};
  return fstat(fd_.get(), &attributes) == 0 ? attributes.st_size : 0;
}

bool Ingest::HasOtherNames() const {
  struct stat attributes = {};
  return fstat(fd_.get(), &attributes) == 0 && attributes.st_nlink > 1;
}

absl::StatusOr<size_t> Ingest::Read(int64_t offset, absl::Span<char> buffer) const {
  while (true) {
    const ssize_t count = pread(fd_.get(), buffer.data(), buffer.size(), offset);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return ErrnoStatus(errno, "read", directory_->PathOf(BlobPlace::kIngest, digest_));
  }
}

absl::Status Ingest::Append(int64_t offset, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_.get(), bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", directory_->PathOf(BlobPlace::kIngest, digest_));
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += written;
  }
  // Started early, the disk writes while the network is waited for, and Publish has little left to wait for.
  if (offset - written_back_ >= kWriteBackBytes) {
    sync_file_range(fd_.get(), written_back_, offset - written_back_, SYNC_FILE_RANGE_WRITE);
    written_back_ = offset;
  }
  return absl::OkStatus();
}

absl::Status Ingest::Publish() {
  // Without it a power loss can leave a file of the right length with zeros in it under a name that promises its
  // digest. unpack/ would notice, other readers of the layout may not. It is cheap: with the write-back that Append
  // starts, a blob of 512 MiB waits some 20 ms here (150 ms without) on a virtual disk.
  if (fdatasync(fd_.get()) != 0) {
    const absl::Status error = ErrnoStatus(errno, "fdatasync", directory_->PathOf(BlobPlace::kIngest, digest_));
    static_cast<void>(Discard());
    return error;
  }
  const absl::Status renamed = directory_->Publish(digest_, fd_.get());
  if (!renamed.ok()) {
    static_cast<void>(Discard());
    return renamed;
  }
  TryLock(fd_.get(), LOCK_SH);
  return absl::OkStatus();
}

absl::Status Ingest::Discard() { return directory_->Remove(BlobPlace::kIngest, digest_); }

}  // namespace sluice
