// Every name under the root, made and parsed in this one file.
//
//   <root>/                    0700
//     sluice.db                the metadata store, with SQLite's own -wal and -shm beside it
//     lock                     held by the daemon that serves this root
//     snapshots/<n>/fs         a snapshot's or a layer's own files: the upper or a lower directory of mounts
//     snapshots/<n>/work       overlayfs' workdir, of active snapshots only
//     spare/<n>/{fs,work}      made ahead for active snapshots to come
//     new-<random>/            being made
//     trash/<n>-<random>/      being deleted
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

inline constexpr char kDatabaseName[] = "sluice.db";
inline constexpr char kLockName[] = "lock";
inline constexpr char kCacheName[] = "cache";
inline constexpr char kSnapshotsName[] = "snapshots";
inline constexpr char kSpareName[] = "spare";
inline constexpr char kTrashName[] = "trash";
inline constexpr char kFsName[] = "fs";
inline constexpr char kWorkName[] = "work";

// A value; the paths are absolute.
class PathLayout {
 public:
  // InvalidArgument unless `root` is absolute, free of the characters that mean something in overlayfs' mount options
  // (comma, colon, backslash) and short enough. Trailing and double slashes are dropped.
  static absl::StatusOr<PathLayout> ForRoot(absl::string_view root);

  const std::string& root() const { return root_; }
  std::string DatabasePath() const;
  std::string CachePath() const;
  std::string SnapshotPath(int64_t directory_id) const;
  std::string FsPath(int64_t directory_id) const;
  std::string WorkPath(int64_t directory_id) const;
  // Nothing for any path that FsPath does not make.
  std::optional<int64_t> ParseFsPath(absl::string_view path) const;

 private:
  explicit PathLayout(std::string root) : root_(std::move(root)) {}

  std::string root_;
};

// "12" below snapshots/ and spare/.
std::string SnapshotDirectoryName(int64_t directory_id);
// Nothing for any name that SnapshotDirectoryName does not make.
std::optional<int64_t> ParseSnapshotDirectoryName(absl::string_view name);

// "new-<16 hex digits>" below the root.
std::string StagingName(uint64_t random);
bool IsStagingName(absl::string_view name);

// "<name>-<16 hex digits>" below trash/.
std::string TrashName(absl::string_view name, uint64_t random);

}  // namespace sluice
