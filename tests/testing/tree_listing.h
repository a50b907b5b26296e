// What stands in a directory tree, attribute by attribute, and where two trees differ.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sluice::testing {

struct ListedEntry {
  std::string path;   // relative to the root, raw bytes; "." is the root
  char type = '?';    // as ls: - d l c b p s
  uint32_t mode = 0;  // the 07777 bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;  // seconds; nanoseconds apart
  int64_t nanoseconds = 0;
  uint32_t major = 0;  // devices
  uint32_t minor = 0;
  std::string target = {};     // symlinks
  std::string linked_to = {};  // of several names of one inode within the tree, the lowest; empty on that one itself
  std::map<std::string, std::string> xattrs = {};
  int64_t size = 0;             // regular files
  std::string sha256 = {};      // of a regular file's bytes, holes read as zeros; hex
  std::string head = {};        // the whole content where it is short
  int64_t allocated_bytes = 0;  // never compared: whether holes are holes is asked by the tests that care
};

// By path, bytewise; an entry's own path before those below it.
using TreeListing = std::map<std::string, ListedEntry>;

// Lists the tree at `path`, root included. Never follows links. Any failing system call is an error that names the
// entry: in an overlay view a name that readdir gives and lstat doesn't know is the classic mistake.
absl::StatusOr<TreeListing> ListTree(const std::string& path);

// One line, all attributes:
//   etc/passwd -0644 0:0 @1600000000.5 6 "root\n" =etc/a user.x="y"
// A content of at most 64 bytes is quoted, a longer one given by its sha256.
std::string FormatEntry(const ListedEntry& entry);
// The same without what most entries of a test have in common: owner 0:0, an mtime of kTarTime, the size of a file.
std::string FormatBriefly(const ListedEntry& entry);
// C escapes for everything that is not printable ASCII, and for the backslash.
std::string EscapeBytes(absl::string_view bytes);

// The attributes a decided difference may be about.
enum class Attribute { kPresence, kType, kMode, kOwner, kMtime, kDevice, kTarget, kHardLinks, kXattrs, kContent };

// Not compared: `attribute` of `path`; "*" is every path.
struct Ignored {
  std::string path;
  Attribute attribute;
};

// "mode", "mtime", …; InvalidArgument otherwise.
absl::StatusOr<Attribute> ParseAttribute(absl::string_view name);

// One message per differing attribute, "path: mode: 0755 != 0700"; empty if the trees are equal.
std::vector<std::string> DiffListings(const TreeListing& left, const TreeListing& right,
                                      absl::Span<const Ignored> ignored = {});

}  // namespace sluice::testing
