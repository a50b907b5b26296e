// Random stacks of layer directories: what MergedView says of every name must be what the kernel's overlay shows.
#include "unpack/merged_view.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/overlay_mount.h"
#include "tests/testing/random.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

using testing::OverlayMount;
using testing::Random;
using testing::StatusIs;
using testing::TempDir;
using Found = MergedView::Found;
using Kind = MergedView::Found::Kind;

constexpr const char* kNames[] = {"a", "b", "c"};
constexpr int kMaxDepth = 3;

// Layer directories as nobody but a test would make them; what was done is kept for the message.
class Layers {
 public:
  explicit Layers(uint64_t seed) : random_(seed) {
    const size_t count = 2 + random_.Below(4);
    for (size_t i = 0; i < count; ++i) {
      paths_.push_back(dir_.MakeDirectory(absl::StrCat(i)));
      fds_.emplace_back(::open(paths_.back().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      for (size_t left = random_.Below(12); left > 0; --left) Add(i);
      // On a root it means nothing.
      if (random_.OneIn(4)) Mark(fds_.back().get(), "y");
    }
  }

  // Topmost first.
  const std::vector<std::string>& paths() const { return paths_; }
  std::vector<int> fds() const {
    std::vector<int> fds;
    for (const UniqueFd& fd : fds_) fds.push_back(fd.get());
    return fds;
  }
  std::string log() const { return absl::StrJoin(log_, "\n"); }

 private:
  std::string RandomPath() {
    std::vector<std::string> names;
    for (size_t left = 1 + random_.Below(kMaxDepth); left > 0; --left) names.emplace_back(random_.Of(kNames));
    return absl::StrJoin(names, "/");
  }

  // Something at a random place, if it is still free.
  void Add(size_t layer) {
    const std::string path = RandomPath();
    const auto [directory, base] = SplitPath(path);
    const std::string name(base);
    const UniqueFd parent = MakeDirectories(fds_[layer].get(), directory);
    if (!parent.valid()) return;
    static constexpr const char* kKinds[] = {"file",     "directory", "opaque", "opaque", "not opaque",
                                             "whiteout", "whiteout",  "fifo",   "device", "symlink"};
    const std::string kind = random_.Of(kKinds);
    if (Make(kind, parent.get(), name)) log_.push_back(absl::StrCat(layer, ": ", path, ": ", kind));
  }

  // Invalid where something else is on the way.
  static UniqueFd MakeDirectories(int root, absl::string_view path) {
    UniqueFd at(::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (const absl::string_view component : absl::StrSplit(path, '/', absl::SkipEmpty())) {
      const std::string name(component);
      static_cast<void>(::mkdirat(at.get(), name.c_str(), 0751));
      at.Reset(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!at.valid()) break;
    }
    return at;
  }

  bool Make(const std::string& kind, int parent, const std::string& name) {
    const mode_t mode = random_.OneIn(2) ? 0640 : 0711;
    if (kind == "whiteout") return ::mknodat(parent, name.c_str(), S_IFCHR, ::makedev(0, 0)) == 0;
    if (kind == "fifo") return ::mkfifoat(parent, name.c_str(), mode) == 0;
    if (kind == "device") {
      return ::mknodat(parent, name.c_str(), (random_.OneIn(2) ? S_IFCHR : S_IFBLK) | mode, ::makedev(0, 1)) == 0;
    }
    if (kind == "symlink") {
      static constexpr const char* kStarts[] = {"", "/", "../", "./", "../../../"};
      return ::symlinkat(absl::StrCat(random_.Of(kStarts), RandomPath()).c_str(), parent, name.c_str()) == 0;
    }
    if (kind == "file") {
      const UniqueFd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
      if (!fd.valid()) return false;
      const std::string content(random_.Below(10), static_cast<char>('a' + random_.Below(26)));
      EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
      // The mark means something on directories only.
      if (random_.OneIn(4)) Mark(fd.get(), "y");
      return true;
    }
    static_cast<void>(::mkdirat(parent, name.c_str(), mode));
    const UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return false;
    if (kind == "opaque") Mark(fd.get(), "y");
    if (kind == "not opaque") Mark(fd.get(), random_.OneIn(2) ? "n" : "yes");
    return true;
  }

  static void Mark(int fd, const std::string& value) {
    EXPECT_EQ(::fsetxattr(fd, "trusted.overlay.opaque", value.data(), value.size(), 0), 0);
  }

  Random random_;
  const TempDir dir_{TempDir::Place::kMemory};
  std::vector<std::string> paths_;
  std::vector<UniqueFd> fds_;
  std::vector<std::string> log_;
};

std::string Describe(const struct stat& attributes) {
  // A directory's size is the file system's own affair.
  const off_t size = S_ISDIR(attributes.st_mode) ? 0 : attributes.st_size;
  return absl::StrCat(absl::Hex(attributes.st_mode), " ", attributes.st_uid, ":", attributes.st_gid, " ",
                      attributes.st_rdev, " ", size, " @", attributes.st_mtim.tv_sec, ".", attributes.st_mtim.tv_nsec);
}

Kind KindOf(const struct stat& attributes) {
  if (S_ISDIR(attributes.st_mode)) return Kind::kDirectory;
  return S_ISLNK(attributes.st_mode) ? Kind::kSymlink : Kind::kOther;
}

std::string Contents(int fd) {
  std::string bytes(4096, '\0');
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), 0);
  bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return bytes;
}

// One place: kind, attributes, and what is read from it.
void CheckFound(const MergedView& view, const Found& found, const std::string& path, const std::string& mounted) {
  SCOPED_TRACE(path);
  struct stat attributes {};
  const bool exists = ::lstat(mounted.c_str(), &attributes) == 0;
  ASSERT_EQ(found.kind, exists ? KindOf(attributes) : Kind::kNothing) << (exists ? Describe(attributes) : "nothing");
  if (!exists) return;
  EXPECT_EQ(Describe(found.attributes), Describe(attributes));
  if (found.kind == Kind::kSymlink) {
    ASSERT_OK_AND_ASSIGN(const std::string text, view.ReadLink(found, path));
    EXPECT_EQ(text, std::filesystem::read_symlink(mounted).string());
  }
  if (S_ISREG(attributes.st_mode)) {
    ASSERT_OK_AND_ASSIGN(const UniqueFd ours, view.Open(found, path, O_RDONLY));
    const UniqueFd theirs(::open(mounted.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(Contents(ours.get()), Contents(theirs.get()));
  }
}

// A directory that only one layer has is shown by the kernel as it is, whiteouts too: they are in readdir only.
std::set<std::string> ShownNames(const std::string& mounted) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(mounted)) {
    struct stat attributes {};
    if (::lstat(entry.path().c_str(), &attributes) == 0) names.insert(entry.path().filename().string());
  }
  return names;
}

// All names below a place, those that are not there included, as deep as any layer goes.
void CheckBelow(const MergedView& view, const Found& directory, const std::string& path, const std::string& mount,
                int depth) {
  if (directory.kind == Kind::kDirectory) {
    ASSERT_OK_AND_ASSIGN(const std::set<std::string> names, view.Names(directory, path));
    EXPECT_EQ(names, ShownNames(absl::StrCat(mount, "/", path))) << "in \"" << path << "\"";
  }
  if (depth == kMaxDepth) return;
  for (const char* const name : kNames) {
    const std::string child_path = JoinPath(path, name);
    ASSERT_OK_AND_ASSIGN(const Found child, view.Child(directory, path, name));
    // The kernel would follow a symlink on the way.
    if (directory.kind == Kind::kDirectory) {
      CheckFound(view, child, child_path, absl::StrCat(mount, "/", child_path));
    } else {
      EXPECT_EQ(child.kind, Kind::kNothing) << child_path;
    }
    CheckBelow(view, child, child_path, mount, depth + 1);
    if (::testing::Test::HasFailure()) return;
  }
}

// Where `name` leads, step by step as the settling of a layer does it; kNothing for circles too.
absl::StatusOr<Found> Follow(const MergedView& view, const std::string& name) {
  std::vector<std::pair<std::string, Found>> way;
  std::vector<std::string> rest;
  PushComponents(name, rest);
  ASSIGN_OR_RETURN(const Found root, view.Root());
  for (int links = 0; !rest.empty();) {
    const std::string component = std::move(rest.back());
    rest.pop_back();
    if (component == "..") {
      if (!way.empty()) way.pop_back();
      continue;
    }
    const std::string above = way.empty() ? "" : way.back().first;
    ASSIGN_OR_RETURN(const Found found, view.Child(way.empty() ? root : way.back().second, above, component));
    const std::string path = JoinPath(above, component);
    if (found.kind == Kind::kSymlink) {
      if (++links > 40) return Found();
      ASSIGN_OR_RETURN(const std::string text, view.ReadLink(found, path));
      if (absl::StartsWith(text, "/")) way.clear();
      PushComponents(text, rest);
      continue;
    }
    if (found.kind == Kind::kNothing || (found.kind == Kind::kOther && !rest.empty())) return Found();
    way.emplace_back(path, found);
  }
  return way.empty() ? root : way.back().second;
}

void CheckFollowed(const MergedView& view, const std::string& mount, const std::string& name) {
  SCOPED_TRACE(absl::StrCat("followed: ", name));
  const UniqueFd root(::open(mount.c_str(), O_PATH | O_CLOEXEC));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  const UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), name.c_str(), &how, sizeof(how))));
  struct stat attributes {};
  const bool exists = fd.valid() && ::fstat(fd.get(), &attributes) == 0;
  ASSERT_OK_AND_ASSIGN(const Found found, Follow(view, name));
  ASSERT_EQ(found.kind, exists ? KindOf(attributes) : Kind::kNothing) << (exists ? Describe(attributes) : "nothing");
  if (exists) {
    EXPECT_EQ(Describe(found.attributes), Describe(attributes));
  }
}

void CheckSeed(uint64_t seed) {
  const Layers layers(seed);
  SCOPED_TRACE(absl::StrCat(testing::SeedTrace(seed), "\n", layers.log()));
  ASSERT_OK_AND_ASSIGN(const auto mount, OverlayMount::Create(layers.paths()));
  const MergedView view(layers.fds());
  ASSERT_OK_AND_ASSIGN(const Found root, view.Root());
  CheckFound(view, root, "", mount->path());
  CheckBelow(view, root, "", mount->path(), 0);
  for (const char* const a : kNames) {
    for (const char* const b : kNames) {
      for (const char* const c : kNames) CheckFollowed(view, mount->path(), absl::StrCat(a, "/", b, "/", c));
    }
  }
}

TEST(MergedViewTest, ShowsWhatTheKernelShows) {
  for (const uint64_t seed : testing::Seeds(400)) {
    CheckSeed(seed);
    if (HasFailure()) return;
  }
}

// What only a mount can resolve is said, not guessed.
class KernelsOwnTest : public ::testing::Test {
 protected:
  absl::StatusOr<Found> ChildOf(const std::string& mark, const std::string& value, bool directory) {
    const std::string path = dir_.At("a");
    if (directory) {
      dir_.MakeDirectory("a");
    } else {
      const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
    EXPECT_EQ(::setxattr(path.c_str(), mark.c_str(), value.data(), value.size(), 0), 0);
    const MergedView view({dir_.fd(), dir_.fd()});
    ASSIGN_OR_RETURN(const Found root, view.Root());
    return view.Child(root, "", "a");
  }

 private:
  const TempDir dir_{TempDir::Place::kMemory};
};

TEST_F(KernelsOwnTest, RedirectOfADirectory) {
  EXPECT_THAT(ChildOf("trusted.overlay.redirect", "/b", true),
              StatusIs(absl::StatusCode::kFailedPrecondition, "redirect on a"));
}

TEST_F(KernelsOwnTest, XattrWhiteouts) {
  EXPECT_THAT(ChildOf("trusted.overlay.opaque", "x", true),
              StatusIs(absl::StatusCode::kFailedPrecondition, "xattr whiteouts on a"));
}

TEST_F(KernelsOwnTest, RedirectOfAFile) {
  EXPECT_THAT(ChildOf("trusted.overlay.redirect", "/b", false),
              StatusIs(absl::StatusCode::kFailedPrecondition, "metacopy on a"));
}

// The mark of a metadata-only copy has no value, or since Linux 6.6 a digest.
TEST_F(KernelsOwnTest, MetadataOnlyCopyWithDigest) {
  EXPECT_THAT(ChildOf("trusted.overlay.metacopy", std::string("\0\4\0\1", 4), false),
              StatusIs(absl::StatusCode::kFailedPrecondition, "metacopy on a"));
}

TEST_F(KernelsOwnTest, MetadataOnlyCopy) {
  EXPECT_THAT(ChildOf("trusted.overlay.metacopy", "", false),
              StatusIs(absl::StatusCode::kFailedPrecondition, "metacopy on a"));
}

}  // namespace
}  // namespace sluice
