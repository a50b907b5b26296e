#include "tests/testing/tree_listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "tests/testing/tar_builder.h"

namespace sluice::testing {
namespace {

constexpr size_t kQuotedContent = 64;

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  const int error = errno;
  return ErrnoStatus(error, operation, EscapeBytes(path));
}

char TypeLetter(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return '-';
    case S_IFDIR:
      return 'd';
    case S_IFLNK:
      return 'l';
    case S_IFCHR:
      return 'c';
    case S_IFBLK:
      return 'b';
    case S_IFIFO:
      return 'p';
    case S_IFSOCK:
      return 's';
    default:
      return '?';
  }
}

// Opens a directory by however long a path.
absl::StatusOr<UniqueFd> OpenDirectory(const std::string& root, const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  UniqueFd fd(::open(root.c_str(), kFlags));
  if (!fd.valid()) return Failure("open", root);
  for (const absl::string_view component : absl::StrSplit(path, '/')) {
    fd.Reset(::openat(fd.get(), std::string(component).c_str(), kFlags | O_NOFOLLOW));
    if (!fd.valid()) return Failure("openat", path);
  }
  return fd;
}

absl::StatusOr<std::vector<std::string>> NamesIn(int directory_fd, absl::string_view path) {
  UniqueFd fd(::openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Failure("openat", path);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), &::closedir);
  if (directory == nullptr) return Failure("fdopendir", path);
  static_cast<void>(fd.Release());  // the stream owns it now
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) return Failure("readdir", path);
  return names;
}

// `access` is a path to the entry that needs no look-up of its parents: /proc/self/fd/N/name.
absl::Status ReadXattrs(const std::string& access, ListedEntry& entry) {
  ssize_t list_size = ::llistxattr(access.c_str(), nullptr, 0);
  if (list_size < 0) return errno == ENOTSUP ? absl::OkStatus() : Failure("llistxattr", entry.path);
  if (list_size == 0) return absl::OkStatus();
  std::string list(static_cast<size_t>(list_size), '\0');
  list_size = ::llistxattr(access.c_str(), list.data(), list.size());
  if (list_size < 0) return Failure("llistxattr", entry.path);
  list.resize(static_cast<size_t>(list_size));
  for (const absl::string_view name : absl::StrSplit(list, '\0', absl::SkipEmpty())) {
    std::string value(size_t{64} << 10, '\0');
    const ssize_t size = ::lgetxattr(access.c_str(), std::string(name).c_str(), value.data(), value.size());
    if (size < 0) return Failure(absl::StrCat("lgetxattr ", name), entry.path);
    value.resize(static_cast<size_t>(size));
    entry.xattrs.emplace(name, std::move(value));
  }
  return absl::OkStatus();
}

absl::Status ReadContent(const std::string& access, ListedEntry& entry) {
  const UniqueFd fd(::open(access.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return Failure("open", entry.path);
  Sha256 hash;
  std::string buffer(static_cast<size_t>(std::min(entry.size + 1, int64_t{256} << 10)), '\0');
  int64_t total = 0;
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0) return Failure("read", entry.path);
    if (count == 0) break;
    const absl::string_view piece(buffer.data(), static_cast<size_t>(count));
    hash.Update(piece);
    if (entry.size <= static_cast<int64_t>(kQuotedContent)) absl::StrAppend(&entry.head, piece);
    total += count;
  }
  if (total != entry.size) return absl::InternalError(absl::StrCat(EscapeBytes(entry.path), ": changed while read"));
  entry.sha256 = hash.Finish().Hex();
  return absl::OkStatus();
}

absl::Status ReadTarget(const std::string& access, ListedEntry& entry) {
  std::string target(size_t{8} << 10, '\0');
  const ssize_t size = ::readlink(access.c_str(), target.data(), target.size());
  if (size < 0) return Failure("readlink", entry.path);
  target.resize(static_cast<size_t>(size));
  entry.target = std::move(target);
  return absl::OkStatus();
}

class Lister {
 public:
  explicit Lister(const std::string& root) : root_(root) {}

  absl::StatusOr<TreeListing> List() {
    ASSIGN_OR_RETURN(const UniqueFd root, OpenDirectory(root_, "."));
    RETURN_IF_ERROR(Visit(root.get(), ".", "."));
    while (!directories_.empty()) {
      const std::string directory = *directories_.begin();
      directories_.erase(directories_.begin());
      ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(root_, directory));
      ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fd.get(), directory));
      for (const std::string& name : names) {
        RETURN_IF_ERROR(Visit(fd.get(), name, directory == "." ? name : absl::StrCat(directory, "/", name)));
      }
    }
    GroupHardLinks();
    return std::move(listing_);
  }

 private:
  absl::Status Visit(int directory_fd, const std::string& name, const std::string& path) {
    struct stat attributes {};
    if (::fstatat(directory_fd, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) return Failure("lstat", path);
    ListedEntry entry{.path = path, .type = TypeLetter(attributes.st_mode)};
    entry.mode = attributes.st_mode & 07777;
    entry.uid = attributes.st_uid;
    entry.gid = attributes.st_gid;
    entry.mtime = attributes.st_mtim.tv_sec;
    entry.nanoseconds = attributes.st_mtim.tv_nsec;
    entry.allocated_bytes = static_cast<int64_t>(attributes.st_blocks) * 512;
    if (entry.type == 'c' || entry.type == 'b') {
      entry.major = major(attributes.st_rdev);
      entry.minor = minor(attributes.st_rdev);
    }
    const std::string access = absl::StrCat("/proc/self/fd/", directory_fd, "/", name);
    RETURN_IF_ERROR(ReadXattrs(access, entry));
    if (entry.type == 'l') RETURN_IF_ERROR(ReadTarget(access, entry));
    if (entry.type == '-') {
      entry.size = attributes.st_size;
      RETURN_IF_ERROR(ReadContent(access, entry));
    }
    if (entry.type == 'd') {
      directories_.insert(path);
    } else if (attributes.st_nlink > 1) {
      links_[{attributes.st_dev, attributes.st_ino}].insert(path);
    }
    listing_.emplace(path, std::move(entry));
    return absl::OkStatus();
  }

  void GroupHardLinks() {
    for (const auto& [inode, paths] : links_) {
      for (const std::string& path : paths) {
        if (path != *paths.begin()) listing_[path].linked_to = *paths.begin();
      }
    }
  }

  const std::string root_;
  TreeListing listing_;
  std::set<std::string> directories_;  // found and not yet read
  std::map<std::pair<dev_t, ino_t>, std::set<std::string>> links_;
};

std::string Mtime(const ListedEntry& entry) {
  if (entry.nanoseconds == 0) return absl::StrCat(entry.mtime);
  return absl::StrFormat("%d.%09d", entry.mtime, entry.nanoseconds);
}

std::string Content(const ListedEntry& entry) {
  if (entry.size > static_cast<int64_t>(kQuotedContent)) return absl::StrCat("sha256:", entry.sha256);
  return absl::StrCat("\"", EscapeBytes(entry.head), "\"");
}

std::string Xattrs(const ListedEntry& entry) {
  return absl::StrJoin(entry.xattrs, " ", [](std::string* out, const auto& xattr) {
    absl::StrAppend(out, EscapeBytes(xattr.first), "=\"", EscapeBytes(xattr.second), "\"");
  });
}

std::string Format(const ListedEntry& entry, bool brief) {
  std::string line = absl::StrCat(EscapeBytes(entry.path), absl::StrFormat(" %c%04o", entry.type, entry.mode));
  if (!brief || entry.uid != 0 || entry.gid != 0) absl::StrAppend(&line, " ", entry.uid, ":", entry.gid);
  if (!brief || entry.mtime != kTarTime || entry.nanoseconds != 0) absl::StrAppend(&line, " @", Mtime(entry));
  if (entry.type == 'c' || entry.type == 'b') absl::StrAppend(&line, " ", entry.major, ",", entry.minor);
  if (entry.type == 'l') absl::StrAppend(&line, " -> ", EscapeBytes(entry.target));
  if (entry.type == '-' && !brief) absl::StrAppend(&line, " ", entry.size);
  if (entry.type == '-' && !(brief && entry.size == 0)) absl::StrAppend(&line, " ", Content(entry));
  if (!entry.linked_to.empty()) absl::StrAppend(&line, " =", EscapeBytes(entry.linked_to));
  if (!entry.xattrs.empty()) absl::StrAppend(&line, " ", Xattrs(entry));
  return line;
}

// What is compared, as text; by attribute.
std::map<Attribute, std::string> Comparable(const ListedEntry& entry) {
  return {
      {Attribute::kType, std::string(1, entry.type)},
      {Attribute::kMode, absl::StrFormat("%04o", entry.mode)},
      {Attribute::kOwner, absl::StrCat(entry.uid, ":", entry.gid)},
      {Attribute::kMtime, Mtime(entry)},
      {Attribute::kDevice, absl::StrCat(entry.major, ",", entry.minor)},
      {Attribute::kTarget, EscapeBytes(entry.target)},
      {Attribute::kHardLinks, EscapeBytes(entry.linked_to)},
      {Attribute::kXattrs, Xattrs(entry)},
      {Attribute::kContent, absl::StrCat(entry.size, " ", Content(entry))},
  };
}

constexpr std::pair<Attribute, const char*> kAttributeNames[] = {
    {Attribute::kPresence, "presence"}, {Attribute::kType, "type"},       {Attribute::kMode, "mode"},
    {Attribute::kOwner, "owner"},       {Attribute::kMtime, "mtime"},     {Attribute::kDevice, "device"},
    {Attribute::kTarget, "target"},     {Attribute::kHardLinks, "links"}, {Attribute::kXattrs, "xattrs"},
    {Attribute::kContent, "content"},
};

bool IsIgnored(absl::Span<const Ignored> ignored, const std::string& path, Attribute attribute) {
  for (const Ignored& rule : ignored) {
    if (rule.attribute == attribute && (rule.path == "*" || rule.path == path)) return true;
  }
  return false;
}

}  // namespace

std::string EscapeBytes(absl::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (c == '\n') {
      out += "\\n";
    } else if (c < ' ' || c > '~' || c == '\\') {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

absl::StatusOr<TreeListing> ListTree(const std::string& path) { return Lister(path).List(); }

std::string FormatEntry(const ListedEntry& entry) { return Format(entry, /*brief=*/false); }

std::string FormatBriefly(const ListedEntry& entry) { return Format(entry, /*brief=*/true); }

absl::StatusOr<Attribute> ParseAttribute(absl::string_view name) {
  for (const auto& [attribute, text] : kAttributeNames) {
    if (name == text) return attribute;
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is not an attribute"));
}

std::vector<std::string> DiffListings(const TreeListing& left, const TreeListing& right,
                                      absl::Span<const Ignored> ignored) {
  std::vector<std::string> messages;
  for (const auto& [path, entry] : left) {
    const auto other = right.find(path);
    if (other == right.end()) {
      if (!IsIgnored(ignored, path, Attribute::kPresence)) {
        messages.push_back(absl::StrCat(EscapeBytes(path), ": only in the first: ", FormatEntry(entry)));
      }
      continue;
    }
    const std::map<Attribute, std::string> ours = Comparable(entry);
    const std::map<Attribute, std::string> theirs = Comparable(other->second);
    for (const auto& [attribute, name] : kAttributeNames) {
      if (attribute == Attribute::kPresence || IsIgnored(ignored, path, attribute)) continue;
      if (ours.at(attribute) == theirs.at(attribute)) continue;
      messages.push_back(
          absl::StrCat(EscapeBytes(path), ": ", name, ": ", ours.at(attribute), " != ", theirs.at(attribute)));
    }
  }
  for (const auto& [path, entry] : right) {
    if (left.count(path) != 0 || IsIgnored(ignored, path, Attribute::kPresence)) continue;
    messages.push_back(absl::StrCat(EscapeBytes(path), ": only in the second: ", FormatEntry(entry)));
  }
  return messages;
}

}  // namespace sluice::testing
