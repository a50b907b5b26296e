#include "snapshotter/active_snapshots.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::SnapshotterFixture;
using testing::StatusIs;
using Mounts = std::vector<Mount>;

class ActiveSnapshotsTest : public ::testing::Test {
 protected:
  // A directory with one file, to be put in place.
  StagedDirectory StageFile(const std::string& name) {
    StagedDirectory staged = active_.Stage().value();
    EXPECT_EQ(mkdirat(staged.fs_fd(), name.c_str(), 0755), 0);
    return staged;
  }
  bool HasFile(const ActiveSnapshot& snapshot, const std::string& name) {
    return std::filesystem::exists(snapshotter_.tree().layout().FsPath(snapshot.directory_id) + "/" + name);
  }

  SnapshotterFixture snapshotter_;
  ActiveSnapshots active_{snapshotter_.tree(), snapshotter_.metadata()};
};

TEST_F(ActiveSnapshotsTest, FindsWhatPrepareAnswered) {
  ASSERT_OK_AND_ASSIGN(const Mounts base, snapshotter_.Prepare("base"));
  ASSERT_EQ(base[0].type, "bind");
  ASSERT_OK_AND_ASSIGN(const ActiveSnapshot found, active_.Find(base));
  EXPECT_EQ(found.key, "base");
  EXPECT_EQ(snapshotter_.tree().layout().FsPath(found.directory_id), base[0].source);
  EXPECT_THAT(found.below, IsEmpty());

  ASSERT_OK(snapshotter_->Commit("sluice", "one", "base", {}));
  ASSERT_OK(snapshotter_.MakeCommitted("two", "one"));
  ASSERT_OK_AND_ASSIGN(const Mounts third, snapshotter_.Prepare("third", "two"));
  ASSERT_EQ(third[0].type, "overlay");
  ASSERT_OK_AND_ASSIGN(const ActiveSnapshot over_two, active_.Find(third));
  EXPECT_EQ(over_two.key, "third");
  ASSERT_THAT(over_two.below, SizeIs(2));
  EXPECT_EQ(over_two.below[1], found.directory_id);
  EXPECT_THAT(active_.OpenBelow(over_two).value(), SizeIs(2));
}

TEST_F(ActiveSnapshotsTest, FindsNothingElse) {
  ASSERT_OK(snapshotter_.MakeCommitted("one"));
  ASSERT_OK(snapshotter_.MakeCommitted("two", "one"));
  ASSERT_OK_AND_ASSIGN(const Mounts view, snapshotter_->View({"sluice", "view", "two", {}}));
  ASSERT_OK_AND_ASSIGN(const Mounts empty_view, snapshotter_->View({"sluice", "empty view", "", {}}));
  ASSERT_OK_AND_ASSIGN(const Mounts bind, snapshotter_.Prepare("bind"));
  ASSERT_OK_AND_ASSIGN(const Mounts overlay, snapshotter_.Prepare("overlay", "two"));
  const auto with = [](Mounts mounts, const std::function<void(Mount&)>& change) {
    change(mounts[0]);
    return mounts;
  };
  const std::string upper = snapshotter_.tree().layout().FsPath(active_.Find(overlay)->directory_id);
  const std::string one_fs = snapshotter_.tree().layout().FsPath(1);
  const struct {
    const char* name;
    Mounts mounts;
  } cases[] = {
      {"nothing", {}},
      {"twice", {bind[0], bind[0]}},
      {"a view", view},
      {"a view without parents", empty_view},
      {"a view's, made writable", with(empty_view, [](Mount& mount) { mount.options[0] = "rw"; })},
      {"a committed one's", with(bind, [&](Mount& mount) { mount.source = one_fs; })},
      {"of no snapshot", with(bind, [&](Mount& mount) { mount.source = snapshotter_.Path("snapshots/99/fs"); })},
      {"of a host's directory", with(bind, [](Mount& mount) { mount.source = "/etc"; })},
      {"read-only", with(bind, [](Mount& mount) { mount.options[0] = "ro"; })},
      {"with one more option", with(bind, [](Mount& mount) { mount.options.push_back("uidmap=0:1:1"); })},
      {"with a target", with(bind, [](Mount& mount) { mount.target = "sub"; })},
      {"of another type", with(bind, [](Mount& mount) { mount.type = "erofs"; })},
      {"the upper directory, bound", {{"bind", upper, {"rw", "rbind"}}}},
      {"over other parents", with(overlay, [](Mount& mount) { mount.options.back() += ":/etc"; })},
      {"over no parents", with(overlay, [](Mount& mount) { mount.options.pop_back(); })},
      {"for user namespaces", with(overlay, [](Mount& mount) { mount.options.push_back("userxattr"); })},
  };
  for (const auto& [name, mounts] : cases) {
    EXPECT_THAT(active_.Find(mounts), StatusIs(StatusCode::kUnimplemented, "not those of an active snapshot")) << name;
  }
  EXPECT_OK(active_.Find(bind));
  EXPECT_OK(active_.Find(overlay));
}

TEST_F(ActiveSnapshotsTest, OnlyPathsOfThisRootAreLookedUp) {
  EXPECT_TRUE(active_.MayOwn({{"bind", snapshotter_.Path("snapshots/99/fs"), {"rw"}}}));
  EXPECT_TRUE(active_.MayOwn({{"overlay", "overlay", {"upperdir=" + snapshotter_.Path("snapshots/99/fs")}}}));
  EXPECT_FALSE(active_.MayOwn({{"bind", "/var/lib/containerd/snapshots/99/fs", {"rw"}}}));
  EXPECT_FALSE(active_.MayOwn({{"overlay", "overlay", {"lowerdir=" + snapshotter_.Path("snapshots/99/fs")}}}));
  EXPECT_FALSE(active_.MayOwn({{"bind", snapshotter_.Path("snapshots/99/../../etc/fs"), {"rw"}}}));
}

TEST_F(ActiveSnapshotsTest, FillsTheEmptyDirectoryAndKeepsItsOwnerAndMode) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_.Prepare("key"));
  ASSERT_EQ(chown(mounts[0].source.c_str(), 7, 8), 0);
  ASSERT_EQ(chmod(mounts[0].source.c_str(), 0711), 0);
  ASSERT_OK_AND_ASSIGN(const ActiveSnapshot snapshot, active_.Find(mounts));
  EXPECT_TRUE(active_.IsEmpty(snapshot).value());
  ASSERT_OK(active_.Fill(snapshot, StageFile("file")));
  EXPECT_TRUE(HasFile(snapshot, "file"));
  EXPECT_FALSE(active_.IsEmpty(snapshot).value());
  struct stat info;
  ASSERT_EQ(stat(mounts[0].source.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 7u);
  EXPECT_EQ(info.st_gid, 8u);
  EXPECT_EQ(info.st_mode & 07777, 0711u);
  EXPECT_OK(active_.Find(mounts)) << "what Prepare answered still holds";
  ASSERT_OK(snapshotter_->Commit("sluice", "name", "key", {}));
}

TEST_F(ActiveSnapshotsTest, ReplacesNothingThatSomebodyWrote) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_.Prepare("key"));
  ASSERT_OK_AND_ASSIGN(const ActiveSnapshot snapshot, active_.Find(mounts));
  std::ofstream(mounts[0].source + "/written") << "1";
  EXPECT_THAT(active_.Fill(snapshot, StageFile("file")),
              StatusIs(StatusCode::kFailedPrecondition, "apply: snapshot key: "));
  EXPECT_TRUE(HasFile(snapshot, "written"));
  EXPECT_FALSE(HasFile(snapshot, "file"));
}

TEST_F(ActiveSnapshotsTest, FillsNothingThatIsNoLongerActive) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_.Prepare("key"));
  ASSERT_OK_AND_ASSIGN(const ActiveSnapshot snapshot, active_.Find(mounts));
  ASSERT_OK(snapshotter_->Commit("sluice", "name", "key", {}));
  EXPECT_THAT(active_.Fill(snapshot, StageFile("file")),
              StatusIs(StatusCode::kFailedPrecondition, "committed or removed meanwhile"));
  EXPECT_TRUE(active_.IsEmpty(snapshot).value());
  ASSERT_OK(snapshotter_->Remove("sluice", "name"));
  EXPECT_FALSE(active_.Fill(snapshot, StageFile("file")).ok());
}

TEST_F(ActiveSnapshotsTest, NamesADirectoryThatIsGone) {
  ASSERT_OK(snapshotter_.MakeCommitted("one"));
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_.Prepare("key", "one"));
  ASSERT_OK_AND_ASSIGN(const ActiveSnapshot snapshot, active_.Find(mounts));
  std::filesystem::remove_all(snapshotter_.tree().layout().SnapshotPath(snapshot.below[0]));
  EXPECT_THAT(active_.OpenBelow(snapshot), StatusIs(StatusCode::kFailedPrecondition, "is missing: remove the image"));
  std::filesystem::remove_all(snapshotter_.tree().layout().SnapshotPath(snapshot.directory_id));
  EXPECT_THAT(active_.IsEmpty(snapshot), StatusIs(StatusCode::kFailedPrecondition, "is missing: remove the image"));
}

}  // namespace
}  // namespace sluice
