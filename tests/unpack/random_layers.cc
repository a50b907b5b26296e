#include "tests/unpack/random_layers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {
namespace {

using Kind = RandomEntry::Kind;

constexpr size_t kMaxDepth = 3;
constexpr int64_t kSparseSize = 300'000;
constexpr int64_t kSparseDataAt = 200'000;

const char* NameOf(Kind kind) {
  switch (kind) {
    case Kind::kFile:
      return "file";
    case Kind::kSparseFile:
      return "sparse file";
    case Kind::kDirectory:
      return "directory";
    case Kind::kSymlink:
      return "symlink";
    case Kind::kHardLink:
      return "hard link";
    case Kind::kFifo:
      return "fifo";
    case Kind::kDevice:
      return "device";
    case Kind::kWhiteout:
      return "whiteout of";
    case Kind::kOpaque:
      return "opaque";
  }
  return "?";
}

void Append(TarBuilder& tar, const RandomEntry& entry) {
  switch (entry.kind) {
    case Kind::kFile:
      tar.File(entry.name, entry.content, entry.meta);
      return;
    case Kind::kSparseFile:
      tar.SparseFile(entry.name, SparseFormat::kPax10, kSparseSize, {{kSparseDataAt, entry.content}, {kSparseSize, ""}},
                     entry.meta);
      return;
    case Kind::kDirectory:
      tar.Directory(entry.name, entry.meta);
      return;
    case Kind::kSymlink:
      tar.Symlink(entry.name, entry.link, entry.meta);
      return;
    case Kind::kHardLink:
      tar.HardLink(entry.name, entry.link, entry.meta);
      return;
    case Kind::kFifo:
      tar.Fifo(entry.name, entry.meta);
      return;
    case Kind::kDevice:
      tar.CharDevice(entry.name, 1, 3, entry.meta);
      return;
    case Kind::kWhiteout:
      tar.Whiteout(entry.name, entry.meta);
      return;
    case Kind::kOpaque:
      tar.Opaque(entry.name, entry.meta);
      return;
  }
}

}  // namespace

std::vector<RandomEntry> RandomLayers::Next(const RandomLayerOptions& options) {
  std::vector<RandomEntry> layer;
  for (size_t left = 1 + random_.Below(options.max_entries); left > 0; --left) {
    RandomEntry entry = NextEntry(options);
    if (options.plain) ListParents(entry.path, layer);
    layer.push_back(std::move(entry));
  }
  return layer;
}

// Those of which the layer has nothing yet.
void RandomLayers::ListParents(const std::string& path, std::vector<RandomEntry>& layer) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    const bool listed =
        std::any_of(layer.begin(), layer.end(), [&parent](const RandomEntry& entry) { return entry.path == parent; });
    if (listed) continue;
    RandomEntry directory{.kind = Kind::kDirectory, .path = parent, .name = parent, .meta = Meta()};
    directory.meta.xattrs.clear();
    layer.push_back(std::move(directory));
  }
}

RandomEntry RandomLayers::NextEntry(const RandomLayerOptions& options) {
  static constexpr Kind kKinds[] = {
      Kind::kFile,      Kind::kFile,     Kind::kFile,     Kind::kSparseFile, Kind::kDirectory, Kind::kDirectory,
      Kind::kDirectory, Kind::kSymlink,  Kind::kSymlink,  Kind::kHardLink,   Kind::kHardLink,  Kind::kFifo,
      Kind::kDevice,    Kind::kWhiteout, Kind::kWhiteout, Kind::kWhiteout,   Kind::kOpaque};
  RandomEntry entry;
  for (;;) {
    entry.kind = random_.Of(kKinds);
    if (entry.kind == Kind::kSymlink && !options.symlinks) continue;
    if (entry.kind == Kind::kHardLink && (!options.hard_links || files_.empty())) continue;
    if ((entry.kind == Kind::kWhiteout || entry.kind == Kind::kOpaque) && !options.whiteouts) continue;
    if (entry.kind == Kind::kOpaque && !options.opaque) continue;
    break;
  }
  entry.path = Path();
  entry.name = options.plain || entry.kind == Kind::kWhiteout ? entry.path : Spelled(entry.path);
  entry.meta = Meta();
  if (entry.kind == Kind::kSymlink) {
    static constexpr const char* kStarts[] = {"", "", "/", "../", "./", "../../../"};
    entry.link = options.plain ? Path() : absl::StrCat(random_.Of(kStarts), Path());
    // The kernel keeps user.* to files and directories.
    entry.meta.xattrs.clear();
  }
  if (entry.kind == Kind::kDirectory && options.plain) entry.meta.xattrs.clear();
  if (entry.kind == Kind::kFifo || entry.kind == Kind::kDevice) entry.meta.xattrs.clear();
  if (entry.kind == Kind::kHardLink) {
    entry.link = random_.OneIn(8) ? Path() : random_.Of(files_);
    entry.meta.xattrs.clear();
  }
  if (entry.kind == Kind::kFile || entry.kind == Kind::kSparseFile) {
    entry.content = std::string(1 + random_.Below(4), static_cast<char>('a' + random_.Below(26)));
  }
  const bool is_file = entry.kind != Kind::kDirectory && entry.kind != Kind::kWhiteout && entry.kind != Kind::kOpaque;
  if (is_file) files_.push_back(entry.path);
  return entry;
}

std::string RandomLayers::Path() {
  static constexpr const char* kNames[] = {"a", "a", "b", "b", "c", "\xe9\n"};
  std::vector<std::string> names;
  for (size_t left = 1 + random_.Below(kMaxDepth); left > 0; --left) names.emplace_back(random_.Of(kNames));
  return absl::StrJoin(names, "/");
}

std::string RandomLayers::Spelled(std::string path) {
  switch (random_.Below(12)) {
    case 0:
      return absl::StrCat("./", path);
    case 1:
      return absl::StrCat("/", path);
    case 2:
      return absl::StrCat("x/../", path);
    case 3:
      return absl::StrJoin(absl::StrSplit(path, '/'), "/.//");
    default:
      return path;
  }
}

TarMeta RandomLayers::Meta() {
  static constexpr int64_t kModes[] = {0644, 0755, 04755, 02711, 01777, 0};
  TarMeta meta;
  meta.mode = random_.Of(kModes);
  if (random_.OneIn(3)) meta.uid = static_cast<int64_t>(1 + random_.Below(3));
  if (random_.OneIn(3)) meta.gid = static_cast<int64_t>(1 + random_.Below(3));
  meta.mtime = kTarTime + static_cast<int64_t>(random_.Below(1000));
  if (random_.OneIn(3)) meta.nanoseconds = 500'000'001;
  if (random_.OneIn(4)) meta.xattrs.emplace_back(random_.OneIn(2) ? "user.a" : "user.b", "v");
  return meta;
}

std::string TarOf(absl::Span<const RandomEntry> layer) {
  TarBuilder tar;
  for (const RandomEntry& entry : layer) Append(tar, entry);
  return tar.Build();
}

std::string Describe(absl::Span<const RandomEntry> layer) {
  return absl::StrJoin(layer, "\n", [](std::string* out, const RandomEntry& entry) {
    absl::StrAppend(out, "  ", NameOf(entry.kind), " ", EscapeBytes(entry.name));
    if (!entry.link.empty()) absl::StrAppend(out, " -> ", EscapeBytes(entry.link));
    absl::StrAppendFormat(out, " %04o %d:%d @%d.%09d", entry.meta.mode, entry.meta.uid, entry.meta.gid,
                          entry.meta.mtime, entry.meta.nanoseconds);
    if (!entry.content.empty()) absl::StrAppend(out, " \"", entry.content, "\"");
    for (const auto& [name, value] : entry.meta.xattrs) absl::StrAppend(out, " ", name);
  });
}

}  // namespace sluice::testing
