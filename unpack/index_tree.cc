#include "unpack/index_tree.h"

#include <linux/limits.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <climits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

mode_t ModeOf(const TarEntry& entry) {
  switch (entry.type) {
    case TarEntry::Type::kSymlink:
      return S_IFLNK;
    case TarEntry::Type::kCharDevice:
      return S_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return S_IFBLK;
    case TarEntry::Type::kFifo:
      return S_IFIFO;
    default:
      return S_IFREG;
  }
}

absl::Status Missing(absl::string_view path) {
  return absl::InternalError(absl::StrCat(PrintableName(path), ": the directory has vanished"));
}

// What no disk could hold is no tree.
absl::Status CheckLengths(absl::string_view name, absl::string_view link) {
  if (name.size() > NAME_MAX) return ErrnoStatus(ENAMETOOLONG, "name", PrintableName(name));
  if (link.size() >= PATH_MAX) return ErrnoStatus(ENAMETOOLONG, "symlink", PrintableName(name));
  return absl::OkStatus();
}

absl::Status CheckXattrs(const FileMetadata& metadata, absl::string_view path) {
  for (const ExtendedAttribute& xattr : metadata.xattrs) {
    if (xattr.name.size() <= XATTR_NAME_MAX && xattr.value.size() <= XATTR_SIZE_MAX) continue;
    return ErrnoStatus(E2BIG, absl::StrCat("extended attribute ", PrintableName(xattr.name)), PrintableName(path));
  }
  return absl::OkStatus();
}

// Content that can't be read is to be found out at once.
absl::Status PassOver(ContentSource content) {
  for (;;) {
    ASSIGN_OR_RETURN(const TarReader::Block block, content());
    if (block.data.empty()) return absl::OkStatus();
  }
}

}  // namespace

IndexTree::IndexTree(FileIndex& index, uint32_t layer)
    : index_(index), layer_(layer), root_(index.Add()), last_directory_(root_) {
  index_[root_].mode = S_IFDIR;
  index_.SetMetadata(root_, FileMetadata(), true);
}

std::optional<FileId> IndexTree::Find(absl::string_view path) {
  if (path.empty()) return root_;
  const auto [directory, name] = SplitPath(path);
  const std::optional<FileId> parent = FindDirectory(directory);
  FileId file = 0;
  if (!parent.has_value() || !index_.Find(*parent, name, file)) return std::nullopt;
  return file;
}

std::optional<FileId> IndexTree::FindDirectory(absl::string_view path) {
  if (path == last_path_) return last_directory_;
  FileId at = root_;
  for (const absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (!index_.Find(at, name, at)) return std::nullopt;
  }
  if (!index_[at].is_directory()) return std::nullopt;
  last_path_ = std::string(path);
  last_directory_ = at;
  return at;
}

absl::StatusOr<bool> IndexTree::IsDirectory(absl::string_view path) { return FindDirectory(path).has_value(); }

absl::StatusOr<bool> IndexTree::Stat(absl::string_view path, struct stat& attributes) {
  const std::optional<FileId> file = Find(path);
  if (!file.has_value()) return false;
  attributes = {};
  attributes.st_mode = index_[*file].mode;
  attributes.st_rdev = index_[*file].device;
  return true;
}

absl::StatusOr<std::string> IndexTree::ReadLink(absl::string_view path) {
  const std::optional<FileId> file = Find(path);
  if (!file.has_value() || !S_ISLNK(index_[*file].mode)) return Missing(path);
  return index_[*file].extra->link;
}

absl::StatusOr<std::vector<DirectoryName>> IndexTree::SomeNames(absl::string_view directory) {
  constexpr size_t kSome = 256;
  const std::optional<FileId> found = FindDirectory(directory);
  if (!found.has_value()) return Missing(directory);
  std::vector<DirectoryName> names;
  if (index_[*found].extra == nullptr) return names;
  for (const auto& [name, child] : index_[*found].extra->children) {
    if (names.size() == kSome) break;
    names.push_back({name, index_[child].is_directory()});
  }
  return names;
}

absl::StatusOr<FileMetadata> IndexTree::ReadDirectory(absl::string_view path) {
  const std::optional<FileId> directory = FindDirectory(path);
  if (!directory.has_value()) return Missing(path);
  return index_[*directory].Metadata();
}

absl::Status IndexTree::MakeDirectory(absl::string_view path, const FileMetadata& metadata) {
  RETURN_IF_ERROR(CheckXattrs(metadata, path));
  RETURN_IF_ERROR(CheckLengths(SplitPath(path).second, ""));
  const FileId file = index_.Add();
  index_[file].mode = S_IFDIR;
  index_.SetMetadata(file, metadata, true);
  return Add(path, file);
}

absl::Status IndexTree::SetDirectory(absl::string_view path, const FileMetadata& metadata, bool all_xattrs) {
  RETURN_IF_ERROR(CheckXattrs(metadata, path));
  const std::optional<FileId> directory = FindDirectory(path);
  if (!directory.has_value()) return Missing(path);
  index_.SetMetadata(*directory, metadata, all_xattrs);
  return absl::OkStatus();
}

absl::StatusOr<bool> IndexTree::MakeFile(absl::string_view path, const TarEntry& entry, ContentSource content) {
  if (Find(path).has_value()) return false;
  RETURN_IF_ERROR(CheckLengths(SplitPath(path).second, entry.link));
  RETURN_IF_ERROR(CheckXattrs(entry.metadata, path));
  if (entry.type == TarEntry::Type::kFile) RETURN_IF_ERROR(PassOver(content));
  const FileId file = index_.Add();
  index_[file].mode = ModeOf(entry);
  index_[file].size = entry.size;
  index_[file].device = ::makedev(entry.device_major, entry.device_minor);
  index_[file].layer = layer_;
  index_[file].entry = entry.number;
  if (entry.type == TarEntry::Type::kSymlink) {
    index_[file].extra = std::make_unique<IndexedFile::Extra>();
    index_[file].extra->link = entry.link;
  }
  index_.SetMetadata(file, entry.metadata, true);
  RETURN_IF_ERROR(Add(path, file));
  return true;
}

absl::Status IndexTree::MakeHardLink(absl::string_view path, absl::string_view target, const FileMetadata& metadata) {
  RETURN_IF_ERROR(CheckXattrs(metadata, path));
  RETURN_IF_ERROR(CheckLengths(SplitPath(path).second, ""));
  const std::optional<FileId> file = Find(target);
  if (!file.has_value()) return Missing(target);
  RETURN_IF_ERROR(Add(path, *file));
  index_.SetMetadata(*file, metadata, false);
  return absl::OkStatus();
}

absl::Status IndexTree::Copy(absl::string_view path, FileId file) {
  const FileId copy = index_.Add();
  const IndexedFile& original = index_[file];
  IndexedFile& made = index_[copy];
  made.mode = original.mode;
  made.size = original.size;
  made.device = original.device;
  made.layer = original.layer;
  made.entry = original.entry;
  if (original.extra != nullptr) {
    made.extra = std::make_unique<IndexedFile::Extra>();
    made.extra->link = original.extra->link;
  }
  index_.SetMetadata(copy, original.Metadata(), true);
  return Add(path, copy);
}

absl::Status IndexTree::Remove(absl::string_view path) {
  const auto [directory, name] = SplitPath(path);
  const std::optional<FileId> parent = FindDirectory(directory);
  FileId file = 0;
  if (!parent.has_value() || !index_.Find(*parent, name, file)) return absl::OkStatus();
  index_.RemoveName(*parent, name);
  // It may have been that one, or in it.
  last_path_.clear();
  last_directory_ = root_;
  return absl::OkStatus();
}

absl::Status IndexTree::Rename(absl::string_view from, absl::string_view to) {
  const auto [directory, name] = SplitPath(from);
  const std::optional<FileId> parent = FindDirectory(directory);
  FileId file = 0;
  if (!parent.has_value() || !index_.Find(*parent, name, file)) return Missing(from);
  file = index_.TakeName(*parent, name);
  last_path_.clear();
  last_directory_ = root_;
  return Add(to, file);
}

absl::Status IndexTree::Add(absl::string_view path, FileId file) {
  const auto [directory, name] = SplitPath(path);
  const std::optional<FileId> parent = FindDirectory(directory);
  if (!parent.has_value()) return Missing(directory);
  return index_.AddName(*parent, name, file);
}

absl::Status IndexTree::MoveOver(IndexTree& upper) {
  std::vector<std::pair<FileId, FileId>> rest = {{upper.root_, root_}};
  while (!rest.empty()) {
    const auto [from, to] = rest.back();
    rest.pop_back();
    RETURN_IF_ERROR(MoveOver(from, to, rest));
  }
  last_path_.clear();
  last_directory_ = root_;
  return absl::OkStatus();
}

// The directories that both have go to `rest`.
absl::Status IndexTree::MoveOver(FileId upper, FileId lower, std::vector<std::pair<FileId, FileId>>& rest) {
  while (index_[upper].extra != nullptr && !index_[upper].extra->children.empty()) {
    const std::string name = index_[upper].extra->children.begin()->first;
    const FileId file = index_.TakeName(upper, name);
    FileId there = 0;
    if (index_.Find(lower, name, there)) {
      if (index_[file].is_directory() && index_[there].is_directory()) {
        index_.SetMetadata(there, index_[file].Metadata(), true);
        rest.emplace_back(file, there);
        continue;
      }
      index_.RemoveName(lower, name);
    }
    RETURN_IF_ERROR(index_.AddName(lower, name, file));
  }
  index_.Drop(upper);
  return absl::OkStatus();
}

}  // namespace sluice
