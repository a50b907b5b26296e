#include "unpack/unprivileged_metadata.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/rooted_directory.h"
#include "base/status_macros.h"
#include "base/tree_walk.h"
#include "base/unique_fd.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr char kOwnerXattr[] = "user.rootlesscontainers";
constexpr mode_t kPermissions = 07777;
// Without bounds a hostile image would choose how much memory this takes: half a GiB each, at most.
constexpr size_t kMostRecords = 8'000'000;
constexpr size_t kMostXattrBytes = size_t{512} << 20;

bool IsDevice(mode_t mode) { return S_ISCHR(mode) || S_ISBLK(mode); }

// The bits without which the owner himself could not go on: entering and filling a directory, copying a file.
mode_t NeededBits(mode_t type) { return S_ISDIR(type) ? S_IRWXU : S_ISREG(type) ? S_IRUSR : 0; }

bool TakesUserXattrs(mode_t type) { return S_ISREG(type) || S_ISDIR(type); }

void AppendVarint(uint32_t value, std::string& bytes) {
  constexpr uint32_t kMore = 0x80;
  for (; value >= kMore; value >>= 7) bytes.push_back(static_cast<char>(value | kMore));
  bytes.push_back(static_cast<char>(value));
}

// Root is not written as 0 but as "no other than the one on the disk".
std::string EncodeOwner(uid_t uid, gid_t gid) {
  constexpr uint32_t kNoOther = std::numeric_limits<uint32_t>::max();
  constexpr char kUidField = 1 << 3;
  constexpr char kGidField = 2 << 3;
  std::string bytes(1, kUidField);
  AppendVarint(uid != 0 ? uid : kNoOther, bytes);
  bytes.push_back(kGidField);
  AppendVarint(gid != 0 ? gid : kNoOther, bytes);
  return bytes;
}

template <typename Predicate>
void RemoveIf(std::vector<ExtendedAttribute>& xattrs, Predicate predicate) {
  xattrs.erase(std::remove_if(xattrs.begin(), xattrs.end(), predicate), xattrs.end());
}

bool HasXattr(const std::vector<ExtendedAttribute>& xattrs, absl::string_view name) {
  return std::any_of(xattrs.begin(), xattrs.end(),
                     [name](const ExtendedAttribute& xattr) { return xattr.name == name; });
}

}  // namespace

UnprivilegedMetadata::UnprivilegedMetadata(Purpose purpose) : purpose_(purpose), uid_(::geteuid()), gid_(::getegid()) {}

int UnprivilegedMetadata::MakeNode(int directory_fd, const char* name, mode_t mode, dev_t device) {
  if (!IsDevice(mode)) return ::mknodat(directory_fd, name, mode, device);
  const UniqueFd file(
      ::openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  return file.valid() ? 0 : -1;
}

void UnprivilegedMetadata::Made(const struct stat& on_disk, mode_t type, dev_t device) {
  MutexLock lock(mutex_);
  // The number may be that of a file that is gone.
  records_.erase(on_disk.st_ino);
  refused_.erase(on_disk.st_ino);
  if (IsDevice(type)) records_[on_disk.st_ino] = {.mode = type, .device = device};
}

absl::Status UnprivilegedMetadata::Apply(const FileRef& file, const struct stat& on_disk, const FileMetadata& metadata,
                                         bool with_times, absl::string_view path) {
  FileMetadata as_root = metadata;
  if (!TakesUserXattrs(InImage(on_disk).st_mode)) {
    RemoveIf(as_root.xattrs, [](const ExtendedAttribute& xattr) { return absl::StartsWith(xattr.name, "user."); });
  }
  Xattrs refused;
  const FileMetadata possible = Possible(as_root, on_disk.st_mode, refused);
  const bool unmark = HasOwnerXattr(on_disk) && !HasXattr(possible.xattrs, kOwnerXattr);
  struct stat current = on_disk;
  if (S_ISREG(on_disk.st_mode) && (unmark || !possible.xattrs.empty())) {
    // Only who may write a file may change its user.* attributes.
    current.st_mode |= S_IRUSR | S_IWUSR;
    RETURN_IF_ERROR(SetMode(file, current.st_mode & kPermissions, path));
  }
  if (unmark) RETURN_IF_ERROR(RemoveXattr(file, kOwnerXattr, path));
  RETURN_IF_ERROR(ApplyMetadata(file, current, possible, with_times, path, &refused));
  const mode_t permissions = S_ISLNK(on_disk.st_mode) ? on_disk.st_mode & kPermissions : possible.mode;
  return Remember(on_disk, as_root, (on_disk.st_mode & S_IFMT) | permissions, std::move(refused), path);
}

// The part of `as_root` that can be on the disk; `disk_type` is that of the file there.
FileMetadata UnprivilegedMetadata::Possible(const FileMetadata& as_root, mode_t disk_type, Xattrs& refused) const {
  FileMetadata possible = as_root;
  possible.uid = uid_;
  possible.gid = gid_;
  possible.mode |= NeededBits(disk_type);
  if (purpose_ == Purpose::kImage) {
    refused = std::move(possible.xattrs);
    possible.xattrs.clear();
    return possible;
  }
  // What an image says there is not ours to repeat.
  const auto forged = std::stable_partition(possible.xattrs.begin(), possible.xattrs.end(),
                                            [](const ExtendedAttribute& xattr) { return xattr.name != kOwnerXattr; });
  refused.assign(std::make_move_iterator(forged), std::make_move_iterator(possible.xattrs.end()));
  possible.xattrs.erase(forged, possible.xattrs.end());
  if (TakesUserXattrs(disk_type) && (as_root.uid != 0 || as_root.gid != 0)) {
    possible.xattrs.push_back({kOwnerXattr, EncodeOwner(as_root.uid, as_root.gid)});
  }
  return possible;
}

bool UnprivilegedMetadata::HasOwnerXattr(const struct stat& on_disk) const {
  if (purpose_ == Purpose::kImage || !TakesUserXattrs(on_disk.st_mode)) return false;
  MutexLock lock(mutex_);
  const Record record = RecordOf(on_disk);
  return record.uid != 0 || record.gid != 0;
}

absl::Status UnprivilegedMetadata::Remember(const struct stat& on_disk, const FileMetadata& metadata, mode_t disk_mode,
                                            Xattrs refused, absl::string_view path) {
  MutexLock lock(mutex_);
  Record record = RecordOf(on_disk);
  const mode_t type = record.mode & S_IFMT;
  record.mode = S_ISLNK(type) ? disk_mode : type | metadata.mode;
  record.uid = metadata.uid;
  record.gid = metadata.gid;
  if (record.mode != disk_mode || record.uid != 0 || record.gid != 0) {
    records_[on_disk.st_ino] = record;
  } else {
    records_.erase(on_disk.st_ino);
  }
  if (!refused.empty()) {
    // As on the disk, what is not named anew stays.
    Xattrs& known = refused_[on_disk.st_ino];
    RemoveIf(known, [&refused](const ExtendedAttribute& xattr) { return HasXattr(refused, xattr.name); });
    for (const ExtendedAttribute& xattr : refused) refused_bytes_ += xattr.name.size() + xattr.value.size();
    std::move(refused.begin(), refused.end(), std::back_inserter(known));
  }
  if (records_.size() + refused_.size() <= kMostRecords && refused_bytes_ <= kMostXattrBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), ": too much that only root could set: more than ",
                                                 kMostRecords, " files, or ", kMostXattrBytes,
                                                 " bytes of extended attributes"));
}

UnprivilegedMetadata::Record UnprivilegedMetadata::RecordOf(const struct stat& on_disk) const {
  const auto found = records_.find(on_disk.st_ino);
  return found != records_.end() ? found->second : Record{.mode = on_disk.st_mode};
}

struct stat UnprivilegedMetadata::InImage(const struct stat& on_disk) const {
  MutexLock lock(mutex_);
  const Record record = RecordOf(on_disk);
  struct stat attributes = on_disk;
  attributes.st_mode = record.mode;
  attributes.st_uid = record.uid;
  attributes.st_gid = record.gid;
  attributes.st_rdev = record.device;
  return attributes;
}

absl::StatusOr<FileMetadata> UnprivilegedMetadata::Read(const FileRef& file, const struct stat& on_disk,
                                                        absl::string_view path) const {
  ASSIGN_OR_RETURN(FileMetadata metadata, ReadMetadata(file, InImage(on_disk), path));
  RemoveIf(metadata.xattrs, [](const ExtendedAttribute& xattr) { return xattr.name == kOwnerXattr; });
  MutexLock lock(mutex_);
  const auto found = refused_.find(on_disk.st_ino);
  if (found != refused_.end()) {
    metadata.xattrs.insert(metadata.xattrs.end(), found->second.begin(), found->second.end());
  }
  return metadata;
}

absl::Status UnprivilegedMetadata::RemoveOtherXattrs(int directory_fd, const FileMetadata& metadata,
                                                     absl::string_view path) {
  RETURN_IF_ERROR(::sluice::RemoveOtherXattrs(directory_fd, metadata, path));
  struct stat on_disk {};
  if (::fstat(directory_fd, &on_disk) != 0) return ErrnoStatus(errno, "fstat", PrintableName(path));
  MutexLock lock(mutex_);
  const auto found = refused_.find(on_disk.st_ino);
  if (found == refused_.end()) return absl::OkStatus();
  RemoveIf(found->second,
           [&metadata](const ExtendedAttribute& xattr) { return !HasXattr(metadata.xattrs, xattr.name); });
  if (found->second.empty()) refused_.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<InexactFiles> UnprivilegedMetadata::Finish(int root_fd, const Cancellation* cancellation) {
  return Finish(root_fd, cancellation, [](const InexactFile& /*file*/) { return absl::OkStatus(); });
}

absl::StatusOr<InexactFiles> UnprivilegedMetadata::Finish(int root_fd, const Cancellation* cancellation,
                                                          Visitor visit) {
  InexactFiles counts;
  {
    MutexLock lock(mutex_);
    if (records_.empty() && refused_.empty()) return counts;
  }
  const auto settle = [&](const TreeWalk::Entry& entry) {
    if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
    // A directory is entered before it gets its own mode.
    if (S_ISDIR(entry.attributes.st_mode)) return absl::OkStatus();
    return Settle(entry.directory_fd, entry.name, entry.path, entry.attributes, visit, counts);
  };
  const auto settle_directory = [&](int directory_fd, absl::string_view path) {
    struct stat attributes {};
    if (::fstat(directory_fd, &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(path));
    return Settle(directory_fd, nullptr, path, attributes, visit, counts);
  };
  RETURN_IF_ERROR(TreeWalk(RootedDirectory(root_fd)).Run(settle, settle_directory));
  return counts;
}

// `name` is null for the directory itself.
absl::Status UnprivilegedMetadata::Settle(int directory_fd, const char* name, absl::string_view path,
                                          const struct stat& on_disk, Visitor visit, InexactFiles& counts) {
  Record record;
  Xattrs xattrs;
  {
    MutexLock lock(mutex_);
    const auto found = records_.find(on_disk.st_ino);
    const auto refused = refused_.find(on_disk.st_ino);
    if (found == records_.end() && refused == refused_.end()) return absl::OkStatus();
    record = RecordOf(on_disk);
    // Forgotten, so that a file is settled by one of its names.
    if (found != records_.end()) records_.erase(found);
    if (refused != refused_.end()) {
      xattrs = std::move(refused->second);
      refused_.erase(refused);
    }
  }
  const InexactFiles before = counts;
  counts.owners += record.uid != 0 || record.gid != 0 ? 1 : 0;
  counts.devices += IsDevice(record.mode) ? 1 : 0;
  counts.xattrs += static_cast<int64_t>(xattrs.size());
  if (!before.any() && counts.any()) counts.example = std::string(path);
  RETURN_IF_ERROR(visit({path, on_disk.st_ino, record.mode, record.uid, record.gid, record.device, &xattrs}));
  const mode_t permissions = record.mode & kPermissions;
  const bool other_mode = permissions != (on_disk.st_mode & kPermissions);
  if (purpose_ == Purpose::kImage || !other_mode || S_ISLNK(on_disk.st_mode)) return absl::OkStatus();
  const FileRef file = name == nullptr ? FileRef{.fd = directory_fd} : FileRef{directory_fd, name, -1};
  return SetMode(file, permissions, path);
}

}  // namespace sluice
