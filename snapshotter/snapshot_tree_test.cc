#include "snapshotter/snapshot_tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

class SnapshotTreeTest : public ::testing::Test {
 protected:
  SnapshotTreeTest()
      : layout_(PathLayout::ForRoot(dir_.At("a/b/root")).value()), tree_(SnapshotTree::Open(layout_).value()) {}

  testing::TempDir dir_{testing::TempDir::Place::kMemory};
  const PathLayout layout_;
  std::unique_ptr<SnapshotTree> tree_;
};

TEST_F(SnapshotTreeTest, TheRootIsPrivateAndInUse) {
  struct stat info;
  ASSERT_EQ(stat(layout_.root().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_THAT(SnapshotTree::Open(layout_),
              StatusIs(absl::StatusCode::kFailedPrecondition, layout_.root() + ": is in use by another"));
  tree_.reset();
  EXPECT_OK(SnapshotTree::Open(layout_));
}

TEST_F(SnapshotTreeTest, ARootThatIsAFileIsRefused) {
  ASSERT_EQ(symlink("/etc/passwd", dir_.At("file").c_str()), 0);
  EXPECT_FALSE(SnapshotTree::Open(PathLayout::ForRoot(dir_.At("file")).value()).ok());
}

TEST_F(SnapshotTreeTest, PublishTakesNoNumberTwice) {
  ASSERT_OK(tree_->Publish(tree_->Stage(true).value(), 5));
  EXPECT_TRUE(tree_->Exists(5));
  EXPECT_THAT(tree_->Publish(tree_->Stage(true).value(), 5), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_TRUE(tree_->Exists(5));
  EXPECT_THAT(tree_->TrashNames().value(), SizeIs(1));
}

TEST_F(SnapshotTreeTest, ReplacesAnEmptyDirectoryOnly) {
  ASSERT_OK(tree_->Publish(tree_->Stage(true).value(), 5));
  StagedDirectory staged = tree_->Stage(false).value();
  ASSERT_EQ(mkdirat(staged.fs_fd(), "first", 0755), 0);
  EXPECT_EQ(tree_->IsEmpty(5).value(), true);
  ASSERT_OK(tree_->ReplaceEmptyFs(std::move(staged), 5));
  EXPECT_EQ(tree_->IsEmpty(5).value(), false);
  EXPECT_TRUE(std::filesystem::exists(layout_.FsPath(5) + "/first"));
  EXPECT_TRUE(std::filesystem::exists(layout_.WorkPath(5)));
  EXPECT_THAT(tree_->TrashNames().value(), IsEmpty());

  EXPECT_THAT(tree_->ReplaceEmptyFs(tree_->Stage(false).value(), 5),
              StatusIs(absl::StatusCode::kFailedPrecondition, "snapshots/5/fs: is not empty"));
  EXPECT_TRUE(std::filesystem::exists(layout_.FsPath(5) + "/first"));
  EXPECT_THAT(tree_->TrashNames().value(), SizeIs(1)) << "what was staged in vain";

  EXPECT_THAT(tree_->ReplaceEmptyFs(tree_->Stage(false).value(), 6), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(tree_->IsEmpty(6), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SnapshotTreeTest, WhatWasStagedInVainIsHeardOf) {
  int discarded = 0;
  tree_->SetDiscardListener([&] { ++discarded; });
  ASSERT_OK(tree_->Publish(tree_->Stage(true).value(), 5));
  EXPECT_EQ(discarded, 0);
  ASSERT_OK(tree_->Stage(false));
  EXPECT_EQ(discarded, 1);
  EXPECT_THAT(tree_->TrashNames().value(), SizeIs(1));
}

TEST_F(SnapshotTreeTest, DiscardTwiceIsSuccess) {
  ASSERT_OK(tree_->Publish(tree_->Stage(true).value(), 5));
  EXPECT_OK(tree_->Discard(5));
  EXPECT_OK(tree_->Discard(5));
  EXPECT_FALSE(tree_->Exists(5));
  const auto names = tree_->TrashNames().value();
  ASSERT_THAT(names, SizeIs(1));
  EXPECT_OK(tree_->DeleteTrash(names[0], nullptr));
  EXPECT_THAT(tree_->TrashNames().value(), IsEmpty());
}

// A directory that the kernel moves nowhere: a mount point.
class Unmovable {
 public:
  explicit Unmovable(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(mount("", "/", "", MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_EQ(mount(path_.c_str(), path_.c_str(), "", MS_BIND, nullptr), 0);
  }
  ~Unmovable() { EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0); }

 private:
  const std::string path_;
};

TEST_F(SnapshotTreeTest, WhatCanNotBeMovedToTheTrashIsDeletedLater) {
  ASSERT_OK(tree_->Publish(tree_->Stage(true).value(), 5));
  ASSERT_OK(tree_->Publish(tree_->Stage(true).value(), 6));
  {
    const Unmovable snapshot(layout_.SnapshotPath(5));
    tree_->DiscardUnowned(5);
    EXPECT_FALSE(tree_->DeleteStranded(nullptr).ok());
  }
  EXPECT_TRUE(std::filesystem::exists(layout_.SnapshotPath(5)));
  EXPECT_OK(tree_->DeleteStranded(nullptr));
  EXPECT_FALSE(std::filesystem::exists(layout_.SnapshotPath(5)));
  EXPECT_TRUE(tree_->Exists(6));
}

TEST_F(SnapshotTreeTest, WhatWasStagedAndCanNotBeMovedIsDeletedLater) {
  std::string path;
  {
    std::optional<StagedDirectory> staged = tree_->Stage(true).value();
    for (const auto& entry : std::filesystem::directory_iterator(layout_.root())) {
      if (IsStagingName(entry.path().filename().string())) path = entry.path();
    }
    const Unmovable held(path);
    staged.reset();
  }
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_OK(tree_->DeleteStranded(nullptr));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(SnapshotTreeTest, FsIsNotFollowedWhenItIsALink) {
  std::filesystem::create_directory(layout_.SnapshotPath(7));
  ASSERT_EQ(symlink("/etc", layout_.FsPath(7).c_str()), 0);
  EXPECT_FALSE(tree_->Exists(7));
  EXPECT_FALSE(tree_->OpenFs(7).ok());
}

}  // namespace
}  // namespace sluice
