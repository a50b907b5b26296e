#include "unpack/file_index.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr mode_t kPermissions = 07777;
constexpr mode_t kSymlinkMode = 0777;
// A name in a directory's map with its share of the map's nodes, and of what the directory takes for the map.
constexpr int64_t kNameBytes = 64;

// What every file system of use takes; the kernel keeps user.* to files and directories, ACLs from symlinks.
bool IsXattrKept(absl::string_view name, mode_t mode) {
  if (absl::StartsWith(name, "user.")) return S_ISREG(mode) || S_ISDIR(mode);
  if (name == "system.posix_acl_access") return !S_ISLNK(mode);
  if (name == "system.posix_acl_default") return S_ISDIR(mode);
  return absl::StartsWith(name, "security.");
}

IndexedFile::Extra& ExtraOf(IndexedFile& file) {
  if (file.extra == nullptr) file.extra = std::make_unique<IndexedFile::Extra>();
  return *file.extra;
}

void SetXattr(const ExtendedAttribute& xattr, std::vector<ExtendedAttribute>& xattrs) {
  const auto known = std::find_if(xattrs.begin(), xattrs.end(),
                                  [&xattr](const ExtendedAttribute& other) { return other.name == xattr.name; });
  if (known != xattrs.end()) {
    known->value = xattr.value;
  } else {
    xattrs.push_back(xattr);
  }
}

int64_t BytesOf(const IndexedFile& file) {
  size_t bytes = sizeof(IndexedFile);
  if (file.extra == nullptr) return static_cast<int64_t>(bytes);
  bytes += file.extra->link.size();
  for (const ExtendedAttribute& xattr : file.extra->xattrs) {
    bytes += sizeof(xattr) + xattr.name.size() + xattr.value.size();
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace

bool IndexedFile::is_directory() const { return S_ISDIR(mode); }

FileMetadata IndexedFile::Metadata() const {
  FileMetadata metadata;
  metadata.mode = mode & kPermissions;
  metadata.uid = uid;
  metadata.gid = gid;
  metadata.times.fill(timespec{mtime, static_cast<long>(mtime_nanoseconds)});
  if (extra != nullptr) metadata.xattrs = extra->xattrs;
  return metadata;
}

void FileIndex::SetMetadata(FileId id, const FileMetadata& metadata, bool all_xattrs) {
  IndexedFile& file = files_[id];
  if (file.names > 0) bytes_ -= BytesOf(file);
  file.mode = (file.mode & S_IFMT) | (S_ISLNK(file.mode) ? kSymlinkMode : metadata.mode & kPermissions);
  file.uid = metadata.uid;
  file.gid = metadata.gid;
  file.mtime = metadata.times[1].tv_sec;
  file.mtime_nanoseconds = static_cast<uint32_t>(metadata.times[1].tv_nsec);
  if (all_xattrs && file.extra != nullptr) file.extra->xattrs.clear();
  for (const ExtendedAttribute& xattr : metadata.xattrs) {
    if (IsXattrKept(xattr.name, file.mode)) SetXattr(xattr, ExtraOf(file).xattrs);
  }
  if (file.names > 0) bytes_ += BytesOf(file);
}

FileId FileIndex::Add() {
  if (!free_.empty()) {
    const FileId id = free_.back();
    free_.pop_back();
    return id;
  }
  files_.emplace_back();
  return static_cast<FileId>(files_.size() - 1);
}

bool FileIndex::Find(FileId directory, absl::string_view name, FileId& child) const {
  const IndexedFile& file = files_[directory];
  if (!file.is_directory() || file.extra == nullptr) return false;
  const auto found = file.extra->children.find(name);
  if (found == file.extra->children.end()) return false;
  child = found->second;
  return true;
}

absl::Status FileIndex::AddName(FileId directory, absl::string_view name, FileId child) {
  ExtraOf(files_[directory]).children.emplace(name, child);
  bytes_ += kNameBytes + static_cast<int64_t>(name.size());
  if (files_[child].names++ == 0) bytes_ += BytesOf(files_[child]);
  if (bytes_ <= max_bytes_) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      PrintableName(name), ": the list of the image's files takes more than ", max_bytes_, " bytes (max_index_bytes)"));
}

void FileIndex::RemoveName(FileId directory, absl::string_view name) { Drop(TakeName(directory, name)); }

FileId FileIndex::TakeName(FileId directory, absl::string_view name) {
  auto& children = files_[directory].extra->children;
  const auto found = children.find(name);
  const FileId child = found->second;
  bytes_ -= kNameBytes + static_cast<int64_t>(name.size());
  if (--files_[child].names == 0) bytes_ -= BytesOf(files_[child]);
  children.erase(found);
  return child;
}

// Without recursion: trees may be deep.
void FileIndex::Drop(FileId id) {
  std::vector<FileId> rest = {id};
  while (!rest.empty()) {
    const FileId next = rest.back();
    rest.pop_back();
    IndexedFile& file = files_[next];
    if (file.names > 0) continue;
    while (file.extra != nullptr && !file.extra->children.empty()) {
      const std::string name = file.extra->children.begin()->first;
      rest.push_back(TakeName(next, name));
    }
    file = IndexedFile();
    free_.push_back(next);
  }
}

}  // namespace sluice
