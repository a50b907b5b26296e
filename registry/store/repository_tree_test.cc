#include "registry/store/repository_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class RepositoryTreeTest : public ::testing::Test {
 protected:
  void Make(const std::string& repository) const { fs::create_directories(dir_.At(repository + "/blobs/sha256")); }
  void SetMtime(const std::string& name, time_t seconds) const {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, dir_.At(name).c_str(), times, 0), 0);
  }

  TempDir dir_{TempDir::Place::kMemory};
  const RepositoryTree tree_{dir_.path()};
};

TEST_F(RepositoryTreeTest, RepositoriesNest) {
  EXPECT_THAT(tree_.List(), IsEmpty());
  for (const char* name : {"b", "a/b/c", "a/b", "z/z/z", "a__b/c.d"}) Make(name);
  EXPECT_THAT(tree_.List(), ElementsAre("a/b", "a/b/c", "a__b/c.d", "b", "z/z/z"));
}

TEST_F(RepositoryTreeTest, WhatIsNoRepositoryIsNotListed) {
  Make("app");
  Make("app/.uploads/x");
  Make(".sync/app");
  Make("_trivy/db");
  Make("APP");
  fs::create_directories(dir_.At("empty/below"));
  fs::create_directory_symlink(dir_.At("app"), dir_.At("link"));
  fs::create_directory_symlink("..", dir_.At("app/loop"));
  ASSERT_EQ(mkfifo(dir_.At("fifo").c_str(), 0600), 0);
  fs::create_directories(dir_.At("blobs/sha256"));  // the root itself looks like a repository
  EXPECT_THAT(tree_.List(), ElementsAre("app"));
  EXPECT_THAT(RepositoryTree(dir_.At("absent")).List(), IsEmpty());
  EXPECT_THAT(RepositoryTree(dir_.At("fifo")).List(), IsEmpty());
  EXPECT_THAT(RepositoryTree(dir_.At("link") + "/..").List(), ElementsAre("app"))
      << "the root may be reached by a link";
}

TEST_F(RepositoryTreeTest, ChangesAreSeenAtOnce) {
  Make("a");
  EXPECT_THAT(tree_.List(), ElementsAre("a"));
  for (const char* name : {"b", "a/b", "a/b/c"}) Make(name);
  EXPECT_THAT(tree_.List(), ElementsAre("a", "a/b", "a/b/c", "b"));
  fs::remove_all(dir_.At("a/b"));
  EXPECT_THAT(tree_.List(), ElementsAre("a", "b"));
  fs::remove_all(dir_.At("a"));
  fs::rename(dir_.At("b"), dir_.At("c"));
  EXPECT_THAT(tree_.List(), ElementsAre("c"));
}

// The time stamps are the witness: with them put back, only who lists the directory again finds the new one.
TEST_F(RepositoryTreeTest, WhatHasNotChangedIsNotListedAgain) {
  constexpr time_t kLongAgo = 1'600'000'000;
  Make("team/a");
  SetMtime("team", kLongAgo);
  EXPECT_THAT(tree_.List(), ElementsAre("team/a"));
  Make("team/b");
  SetMtime("team", kLongAgo);
  EXPECT_THAT(tree_.List(), ElementsAre("team/a"));
  SetMtime("team", kLongAgo + 1);
  EXPECT_THAT(tree_.List(), ElementsAre("team/a", "team/b"));
}

// Two changes within one tick of the clock have one time stamp.
TEST_F(RepositoryTreeTest, AFreshTimeStampIsNotReliedOn) {
  const time_t now = time(nullptr);
  Make("team/a");
  SetMtime("team", now);
  EXPECT_THAT(tree_.List(), ElementsAre("team/a"));
  Make("team/b");
  SetMtime("team", now);
  EXPECT_THAT(tree_.List(), ElementsAre("team/a", "team/b"));
}

TEST_F(RepositoryTreeTest, ManyAskAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      size_t before = 0;
      for (int k = 0; k < 50; ++k) {
        const size_t count = tree_.List().size();
        EXPECT_GE(count, before);
        before = count;
      }
    });
  }
  for (int i = 0; i < 50; ++i) Make(absl::StrCat("a", i, "/b"));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tree_.List().size(), 50u);
}

TEST_F(RepositoryTreeTest, TheWalkIsBounded) {
  for (size_t i = 0; i < RepositoryTree::kMaxDirectories + 10; ++i) {
    ASSERT_EQ(mkdir(dir_.At(absl::StrCat("r", i)).c_str(), 0755), 0);
    ASSERT_EQ(mkdir(dir_.At(absl::StrCat("r", i, "/blobs")).c_str(), 0755), 0);
  }
  EXPECT_EQ(tree_.List().size(), RepositoryTree::kMaxDirectories - 1) << "all but the root";
}

TEST_F(RepositoryTreeTest, ADeepTreeIsBounded) {
  std::string name = "a";
  while (name.size() < 1000) name += "/a";
  Make(name);
  Make("b");
  EXPECT_THAT(tree_.List(), ElementsAre("b")) << "a name has at most 255 characters";
}

}  // namespace
}  // namespace sluice
