#include "registry/cache/blob_cache.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "registry/cache/blob_download.h"
#include "registry/cache/cache_directory.h"
#include "registry/cache/cache_space.h"
#include "registry/cache/image_index.h"
#include "registry/cache/whole_blob.h"

namespace sluice {
namespace {

constexpr int64_t kDefaultMaxBytes = int64_t{20} << 30;

absl::StatusOr<int64_t> DefaultMaxBytes(const CacheDirectory& directory) {
  struct statvfs system = {};
  if (fstatvfs(directory.fd(), &system) != 0) return ErrnoStatus(errno, "fstatvfs", directory.path());
  return std::min(kDefaultMaxBytes, static_cast<int64_t>(system.f_blocks * system.f_frsize / 10));
}

absl::StatusOr<std::string> ReadAll(ByteReader& reader, int64_t max_bytes, const std::string& path) {
  std::string content;
  std::vector<char> buffer(64 << 10);
  while (true) {
    ASSIGN_OR_RETURN(const size_t count, reader.Read(absl::MakeSpan(buffer)));
    if (count == 0) return content;
    content.append(buffer.data(), count);
    if (static_cast<int64_t>(content.size()) > max_bytes) {
      return absl::NotFoundError(absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
    }
  }
}

}  // namespace

// All state is in the file system.
class BlobCache::Impl {
 public:
  explicit Impl(std::shared_ptr<const CacheSpace> space) : space_(std::move(space)) {}

  const std::shared_ptr<const CacheSpace>& space() const { return space_; }
  const CacheDirectory& directory() const { return space_->directory(); }

 private:
  const std::shared_ptr<const CacheSpace> space_;  // shared with the readers
};

BlobCache::BlobCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobCache::~BlobCache() = default;

absl::StatusOr<std::unique_ptr<BlobCache>> BlobCache::Open(const std::string& path, const BlobCacheOptions& options) {
  ASSIGN_OR_RETURN(CacheDirectory directory, CacheDirectory::Open(path));
  CacheLimits limits{.max_bytes = options.max_bytes,
                     .min_free_bytes = options.min_free_bytes,
                     .min_free_inodes = options.min_free_inodes};
  if (limits.max_bytes == 0) {
    ASSIGN_OR_RETURN(limits.max_bytes, DefaultMaxBytes(directory));
  }
  auto space = std::make_shared<const CacheSpace>(std::move(directory), limits);
  return std::unique_ptr<BlobCache>(new BlobCache(std::make_unique<Impl>(std::move(space))));
}

const std::string& BlobCache::path() const { return impl_->directory().path(); }

int64_t BlobCache::max_bytes() const { return impl_->space()->limits().max_bytes; }

bool BlobCache::Contains(const Digest& digest, std::optional<int64_t> size) const {
  const std::optional<CacheEntry> entry = impl_->directory().Find(BlobPlace::kWhole, digest);
  return entry.has_value() && entry->length == size.value_or(entry->length);
}

absl::StatusOr<std::unique_ptr<ByteReader>> BlobCache::OpenBlob(const Digest& digest, std::optional<int64_t> size) {
  return OpenWholeBlob(impl_->directory(), digest, size);
}

absl::StatusOr<std::unique_ptr<ByteReader>> BlobCache::OpenOrFetch(const Digest& digest, int64_t size, Fetch fetch,
                                                                   const Cancellation* cancellation) {
  if (size < 0) return absl::InvalidArgumentError(absl::StrCat(digest.ToString(), ": a size of ", size, " bytes"));
  absl::StatusOr<std::unique_ptr<ByteReader>> whole = OpenBlob(digest, size);
  if (whole.ok()) return whole;
  return std::make_unique<BlobDownload>(impl_->space(), digest, size, std::move(fetch), cancellation);
}

absl::Status BlobCache::Drop(const Digest& digest) { return impl_->directory().Remove(BlobPlace::kWhole, digest); }

absl::StatusOr<std::string> BlobCache::ReadDocument(const Digest& digest, int64_t max_bytes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteReader> reader, OpenBlob(digest, std::nullopt));
  const std::string path = impl_->directory().PathOf(BlobPlace::kWhole, digest);
  ASSIGN_OR_RETURN(std::string content, ReadAll(*reader, max_bytes, path));
  const Digest actual = Digest::Of(content);
  if (actual == digest) return content;
  RETURN_IF_ERROR(Drop(digest));
  return absl::NotFoundError(absl::StrCat(path, ": dropped, its content has ", actual.ToString()));
}

absl::Status BlobCache::WriteDocument(const Digest& digest, const std::string& content) {
  if (const Digest actual = Digest::Of(content); actual != digest) {
    return absl::InvalidArgumentError(absl::StrCat(digest.ToString(), ": the document has ", actual.ToString()));
  }
  const int64_t size = static_cast<int64_t>(content.size());
  if (OpenBlob(digest, size).ok()) return absl::OkStatus();
  const CacheDirectory& directory = impl_->directory();
  ASSIGN_OR_RETURN(const LayoutLock lock, directory.Lock(nullptr));
  ASSIGN_OR_RETURN(const bool fits, impl_->space()->MakeRoom(lock, size));
  if (!fits) {
    return absl::ResourceExhaustedError(absl::StrCat(directory.path(), ": no room for ", size, " bytes"));
  }
  return directory.WriteBlob(lock, digest, content);
}

absl::Status BlobCache::NameImage(const std::string& reference, const Descriptor& manifest) {
  ASSIGN_OR_RETURN(const LayoutLock lock, impl_->directory().Lock(nullptr));
  return EnterImage(impl_->directory(), lock, reference, manifest);
}

absl::StatusOr<NamedImage> BlobCache::FindImage(const std::string& reference) const {
  return sluice::FindImage(impl_->directory(), reference);
}

absl::StatusOr<std::vector<CachedBlob>> BlobCache::List() const {
  ASSIGN_OR_RETURN(const std::vector<CacheEntry> entries, impl_->directory().List());
  std::vector<CachedBlob> blobs;
  blobs.reserve(entries.size());
  for (const CacheEntry& entry : entries) {
    blobs.push_back({.digest = entry.digest,
                     .bytes = entry.length,
                     .used_at = absl::TimeFromTimespec(entry.used),
                     .complete = entry.place == BlobPlace::kWhole});
  }
  return blobs;
}

absl::StatusOr<CacheTotals> BlobCache::Totals() const {
  ASSIGN_OR_RETURN(const std::vector<CacheEntry> entries, impl_->directory().List());
  CacheTotals totals{.blobs = static_cast<int64_t>(entries.size()), .max_bytes = max_bytes()};
  for (const CacheEntry& entry : entries) totals.bytes += entry.length;
  return totals;
}

absl::StatusOr<int64_t> BlobCache::Prune(int64_t max_bytes) {
  ASSIGN_OR_RETURN(const LayoutLock lock, impl_->directory().Lock(nullptr));
  ASSIGN_OR_RETURN(const int64_t freed, impl_->space()->Shrink(lock, max_bytes));
  RETURN_IF_ERROR(ForgetMissingImages(impl_->directory(), lock));
  return freed;
}

}  // namespace sluice
