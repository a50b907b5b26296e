#include "registry/cache/cache_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "registry/cache/directory_files.h"
#include "registry/cache/file_lock.h"
#include "registry/json.h"
#include "registry/manifest.h"
#include "registry/store/store_file.h"

namespace sluice {
namespace {

constexpr char kLock[] = "lock";
constexpr char kLayout[] = "oci-layout";
constexpr char kIndex[] = "index.json";
constexpr char kIngest[] = "ingest";
// In ingest/, a small file that is being written: one at a time, by the layout's lock.
constexpr char kTemporary[] = "new";
constexpr int64_t kMaxLayoutBytes = 4096;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kBlobMode = 0444;

constexpr char kLayoutContent[] = R"({"imageLayoutVersion":"1.0.0"})";
constexpr char kIndexContent[] =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]})";

// What a process that was killed in MakeLayout may have left.
bool IsMadeBeforeLayout(absl::string_view name) { return name == kLock || name == kIngest; }

absl::Status NotALayout(absl::string_view path, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", why));
}

bool Exists(int directory, const char* name) {
  struct stat attributes = {};
  return fstatat(directory, name, &attributes, AT_SYMLINK_NOFOLLOW) == 0;
}

absl::StatusOr<std::string> ReadSmallFile(int directory, const char* name, int64_t max_bytes, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenRegularFile(directory, name, O_RDONLY, path));
  struct stat attributes = {};
  if (fstat(fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", path);
  return ReadStoreFile({std::move(fd), attributes.st_size}, max_bytes, path);
}

// A file takes its length, or what was allocated past its end. The last block is seldom full: that says nothing.
int64_t HeldBytes(const struct stat& attributes) {
  constexpr int64_t kStatBlock = 512;
  const int64_t allocated = attributes.st_blocks * kStatBlock;
  return allocated - attributes.st_size > attributes.st_blksize ? allocated : attributes.st_size;
}

bool UsedBefore(const CacheEntry& a, const CacheEntry& b) {
  if (a.used.tv_sec != b.used.tv_sec) return a.used.tv_sec < b.used.tv_sec;
  return a.used.tv_nsec < b.used.tv_nsec;
}

}  // namespace

absl::StatusOr<CacheDirectory> CacheDirectory::Open(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path));
  UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid() && errno == ENOTDIR) return NotALayout(path, "not a directory");
  if (!root.valid()) return ErrnoStatus(errno, "open", path);
  CacheDirectory directory(path, std::move(root));
  RETURN_IF_ERROR(directory.CheckLayout());
  RETURN_IF_ERROR(directory.MakeLayout());
  return directory;
}

absl::Status CacheDirectory::CheckLayout() const {
  // Listed before oci-layout is looked for: another process may be making the layout, and makes that before the rest.
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(root_.get(), path_));
  const std::string path = absl::StrCat(path_, "/", kLayout);
  const absl::StatusOr<std::string> content = ReadSmallFile(root_.get(), kLayout, kMaxLayoutBytes, path);
  if (absl::IsNotFound(content.status())) {
    if (std::all_of(names.begin(), names.end(), IsMadeBeforeLayout)) return absl::OkStatus();
    return NotALayout(path_, "neither empty nor an OCI image layout");
  }
  if (!content.ok()) return content.status();
  const absl::StatusOr<Json> json = ParseJsonObject(*content);
  if (!json.ok()) return NotALayout(path, json.status().message());
  const absl::StatusOr<std::string> version = StringMember(*json, "imageLayoutVersion");
  if (!version.ok() || !absl::StartsWith(*version, "1.")) return NotALayout(path, "not version 1 of the OCI layout");
  return absl::OkStatus();
}

absl::Status CacheDirectory::MakeLayout() {
  ASSIGN_OR_RETURN(const LayoutLock lock, Lock(nullptr));
  ASSIGN_OR_RETURN(ingest_, OpenOrMakeDirectory(root_.get(), kIngest, absl::StrCat(path_, "/", kIngest)));
  if (!Exists(root_.get(), kLayout)) {
    RETURN_IF_ERROR(Replace(lock, root_.get(), kLayout, kLayoutContent, kFileMode));
  }
  const std::string blobs_path = absl::StrCat(path_, "/blobs");
  ASSIGN_OR_RETURN(const UniqueFd blobs, OpenOrMakeDirectory(root_.get(), "blobs", blobs_path));
  ASSIGN_OR_RETURN(blobs_, OpenOrMakeDirectory(blobs.get(), "sha256", absl::StrCat(blobs_path, "/sha256")));
  if (!Exists(root_.get(), kIndex)) return WriteIndex(lock, kIndexContent);
  return absl::OkStatus();
}

int CacheDirectory::DirectoryOf(BlobPlace place) const {
  return place == BlobPlace::kWhole ? blobs_.get() : ingest_.get();
}

std::string CacheDirectory::PathOf(BlobPlace place, const Digest& digest) const {
  return absl::StrCat(path_, place == BlobPlace::kWhole ? "/blobs/sha256/" : "/ingest/", digest.Hex());
}

absl::StatusOr<LayoutLock> CacheDirectory::Lock(const Cancellation* cancellation) const {
  const std::string path = absl::StrCat(path_, "/", kLock);
  Pause pause;
  while (true) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenOrCreateFile(root_.get(), kLock, path));
    while (!TryLock(fd.get(), LOCK_EX)) {
      if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "flock", path);
      RETURN_IF_ERROR(Annotate(pause.Next(cancellation), path));
    }
    // Somebody may have removed it, and others lock the next one.
    if (::sluice::IsNamed(root_.get(), kLock, fd.get())) return LayoutLock(std::move(fd));
  }
}

std::optional<CacheEntry> CacheDirectory::Find(BlobPlace place, const Digest& digest) const {
  struct stat attributes = {};
  if (fstatat(DirectoryOf(place), digest.Hex().c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (!S_ISREG(attributes.st_mode)) return std::nullopt;
  return CacheEntry{.place = place,
                    .digest = digest,
                    .length = attributes.st_size,
                    .held = HeldBytes(attributes),
                    .used = attributes.st_mtim};
}

absl::StatusOr<std::vector<CacheEntry>> CacheDirectory::List() const {
  std::vector<CacheEntry> entries;
  RETURN_IF_ERROR(AppendEntries(BlobPlace::kWhole, entries));
  RETURN_IF_ERROR(AppendEntries(BlobPlace::kIngest, entries));
  std::sort(entries.begin(), entries.end(), UsedBefore);
  return entries;
}

absl::Status CacheDirectory::AppendEntries(BlobPlace place, std::vector<CacheEntry>& entries) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(DirectoryOf(place), path_));
  for (const std::string& name : names) {
    const absl::StatusOr<Digest> digest = Digest::ParseHex(name);
    if (!digest.ok()) continue;
    const std::optional<CacheEntry> entry = Find(place, *digest);
    if (entry.has_value()) entries.push_back(*entry);
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> CacheDirectory::OpenBlob(BlobPlace place, const Digest& digest) const {
  return OpenRegularFile(DirectoryOf(place), digest.Hex(), O_RDONLY, PathOf(place, digest));
}

absl::StatusOr<UniqueFd> CacheDirectory::OpenIngest(const Digest& digest) const {
  const std::string path = PathOf(BlobPlace::kIngest, digest);
  while (true) {
    absl::StatusOr<UniqueFd> fd = OpenOrCreateFile(ingest_.get(), digest.Hex(), path);
    if (!absl::IsFailedPrecondition(fd.status())) return fd;
    RETURN_IF_ERROR(Remove(BlobPlace::kIngest, digest));
  }
}

bool CacheDirectory::IsNamed(BlobPlace place, const Digest& digest, int fd) const {
  return ::sluice::IsNamed(DirectoryOf(place), digest.Hex(), fd);
}

absl::Status CacheDirectory::Publish(const Digest& digest, int fd) const {
  const std::string name = digest.Hex();
  if (renameat(ingest_.get(), name.c_str(), blobs_.get(), name.c_str()) != 0) {
    return ErrnoStatus(errno, "rename", PathOf(BlobPlace::kWhole, digest));
  }
  // Only then: an ordinary user who is killed in between could not open a read-only ingest to go on with it. A blob
  // that stays writable does no harm.
  fchmod(fd, kBlobMode);
  return absl::OkStatus();
}

absl::Status CacheDirectory::Remove(BlobPlace place, const Digest& digest) const {
  if (unlinkat(DirectoryOf(place), digest.Hex().c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, "unlink", PathOf(place, digest));
}

absl::StatusOr<std::string> CacheDirectory::ReadIndex() const {
  return ReadSmallFile(root_.get(), kIndex, kMaxIndexBytes, absl::StrCat(path_, "/", kIndex));
}

absl::Status CacheDirectory::WriteIndex(const LayoutLock& lock, absl::string_view content) const {
  return Replace(lock, root_.get(), kIndex, content, kFileMode);
}

absl::Status CacheDirectory::WriteBlob(const LayoutLock& lock, const Digest& digest, absl::string_view content) const {
  return Replace(lock, blobs_.get(), digest.Hex(), content, kBlobMode);
}

absl::Status CacheDirectory::Replace(const LayoutLock&, int directory, const std::string& name,
                                     absl::string_view content, mode_t mode) const {
  // What a killed process left.
  unlinkat(ingest_.get(), kTemporary, 0);
  RETURN_IF_ERROR(CreateFile(ingest_.get(), kTemporary, content, mode, absl::StrCat(path_, "/", name)));
  if (renameat(ingest_.get(), kTemporary, directory, name.c_str()) == 0) return absl::OkStatus();
  const int error = errno;
  unlinkat(ingest_.get(), kTemporary, 0);
  return ErrnoStatus(error, "rename", absl::StrCat(path_, "/", name));
}

}  // namespace sluice
