#include "snapshotter/path_layout.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

constexpr char kStagingPrefix[] = "new-";
// mount(2) takes one page of options; upperdir, workdir and one lowerdir must fit with room for containerd's own.
constexpr size_t kMaxRootLength = 1024;

}  // namespace

absl::StatusOr<PathLayout> PathLayout::ForRoot(absl::string_view root) {
  if (!absl::StartsWith(root, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("root: ", root, ": is not an absolute path"));
  }
  if (root.find_first_of(absl::string_view(",:\\\n\0", 5)) != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "root: ", absl::string_view(root.data(), root.find('\n') < root.size() ? root.find('\n') : root.size()),
        ": a comma, colon, backslash or newline can't be part of a mount option"));
  }
  if (root.size() > kMaxRootLength) {
    return absl::InvalidArgumentError(absl::StrCat("root: is longer than ", kMaxRootLength, " bytes"));
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(root, '/', absl::SkipEmpty());
  for (const absl::string_view part : parts) {
    if (part == "." || part == "..") {
      return absl::InvalidArgumentError(absl::StrCat("root: ", root, ": \"", part, "\" in the path"));
    }
  }
  if (parts.empty()) return absl::InvalidArgumentError("root: / can't be the root");
  return PathLayout(absl::StrCat("/", absl::StrJoin(parts, "/")));
}

std::string PathLayout::DatabasePath() const { return absl::StrCat(root_, "/", kDatabaseName); }

std::string PathLayout::CachePath() const { return absl::StrCat(root_, "/", kCacheName); }

std::string PathLayout::SnapshotPath(int64_t directory_id) const {
  return absl::StrCat(root_, "/", kSnapshotsName, "/", SnapshotDirectoryName(directory_id));
}

std::string PathLayout::FsPath(int64_t directory_id) const {
  return absl::StrCat(SnapshotPath(directory_id), "/", kFsName);
}

std::string PathLayout::WorkPath(int64_t directory_id) const {
  return absl::StrCat(SnapshotPath(directory_id), "/", kWorkName);
}

std::optional<int64_t> PathLayout::ParseFsPath(absl::string_view path) const {
  if (!absl::ConsumePrefix(&path, absl::StrCat(root_, "/", kSnapshotsName, "/")) ||
      !absl::ConsumeSuffix(&path, absl::StrCat("/", kFsName))) {
    return std::nullopt;
  }
  return ParseSnapshotDirectoryName(path);
}

std::string SnapshotDirectoryName(int64_t directory_id) { return absl::StrCat(directory_id); }

std::optional<int64_t> ParseSnapshotDirectoryName(absl::string_view name) {
  int64_t id = 0;
  if (!absl::SimpleAtoi(name, &id) || id <= 0 || SnapshotDirectoryName(id) != name) return std::nullopt;
  return id;
}

std::string StagingName(uint64_t random) { return absl::StrCat(kStagingPrefix, absl::Hex(random, absl::kZeroPad16)); }

bool IsStagingName(absl::string_view name) { return absl::StartsWith(name, kStagingPrefix); }

std::string TrashName(absl::string_view name, uint64_t random) {
  return absl::StrCat(name, "-", absl::Hex(random, absl::kZeroPad16));
}

}  // namespace sluice
