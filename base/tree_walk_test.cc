#include "base/tree_walk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/remove_tree.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

class TreeWalkTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = absl::StrCat(testing::TempDir(), "/walk-XXXXXX");
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    fd_.Reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(fd_.valid());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(path_).ok()); }

  void MakeFile(const std::string& name) const {
    const UniqueFd file(::openat(fd_.get(), name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(file.valid());
  }
  // "d", then what is in it, then "d/"; siblings in any order.
  std::vector<std::string> Walk() const {
    std::vector<std::string> steps;
    const auto visit = [&steps](const TreeWalk::Entry& entry) {
      struct stat attributes {};
      EXPECT_EQ(::fstatat(entry.directory_fd, entry.name, &attributes, AT_SYMLINK_NOFOLLOW), 0) << entry.path;
      EXPECT_EQ(attributes.st_ino, entry.attributes.st_ino) << entry.path;
      steps.emplace_back(entry.path);
      return absl::OkStatus();
    };
    const auto leave = [&steps](int directory_fd, absl::string_view path) {
      struct stat attributes {};
      EXPECT_EQ(::fstat(directory_fd, &attributes), 0);
      EXPECT_TRUE(S_ISDIR(attributes.st_mode));
      steps.push_back(absl::StrCat(path, "/"));
      return absl::OkStatus();
    };
    EXPECT_TRUE(TreeWalk(RootedDirectory(fd_.get())).Run(visit, leave).ok());
    return steps;
  }

  std::string path_;
  UniqueFd fd_;
};

TEST_F(TreeWalkTest, AnEmptyDirectoryIsItsRoot) { EXPECT_EQ(Walk(), (std::vector<std::string>{"", "/"})); }

TEST_F(TreeWalkTest, EveryEntryIsVisitedOnceAndEveryDirectoryLeftAfterItsContent) {
  constexpr int kFiles = 1500;  // several reads of a directory
  std::vector<std::string> want = {"", "/", "link"};
  ASSERT_EQ(::symlinkat("/", fd_.get(), "link"), 0);
  for (const char* directory : {"a", "a/b", "a/b/c", "d"}) {
    ASSERT_EQ(::mkdirat(fd_.get(), directory, 0755), 0);
    want.push_back(directory);
    want.push_back(absl::StrCat(directory, "/"));
  }
  for (int i = 0; i < kFiles; ++i) {
    want.push_back(absl::StrCat(i % 2 == 0 ? "a/" : "", "f", i));
    MakeFile(want.back());
  }
  std::vector<std::string> steps = Walk();
  EXPECT_EQ(steps.front(), "");
  EXPECT_EQ(steps.back(), "/");
  const auto at = [&steps](const std::string& step) { return std::find(steps.begin(), steps.end(), step); };
  EXPECT_LT(at("a"), at("a/f0"));
  EXPECT_LT(at("a/f1498"), at("a/"));
  EXPECT_LT(at("a/b/c/"), at("a/b/"));
  EXPECT_LT(at("a/b/"), at("a/"));
  std::sort(steps.begin(), steps.end());
  std::sort(want.begin(), want.end());
  EXPECT_EQ(steps, want);
}

TEST_F(TreeWalkTest, ADirectoryMayBeClosedWhenItIsLeft) {
  ASSERT_EQ(::mkdirat(fd_.get(), "a", 0755), 0);
  ASSERT_EQ(::mkdirat(fd_.get(), "a/b", 0755), 0);
  MakeFile("a/f");
  int left = 0;
  const auto leave = [&left](int directory_fd, absl::string_view /*path*/) {
    ++left;
    EXPECT_EQ(::fchmod(directory_fd, 0), 0);
    return absl::OkStatus();
  };
  const auto visit = [](const TreeWalk::Entry& /*entry*/) { return absl::OkStatus(); };
  EXPECT_TRUE(TreeWalk(RootedDirectory(fd_.get())).Run(visit, leave).ok());
  EXPECT_EQ(left, 3);
}

TEST_F(TreeWalkTest, ACallbacksErrorEndsIt) {
  ASSERT_EQ(::mkdirat(fd_.get(), "a", 0755), 0);
  const auto visit = [](const TreeWalk::Entry& entry) {
    return entry.path == "a" ? absl::CancelledError("enough") : absl::OkStatus();
  };
  const auto leave = [](int /*directory_fd*/, absl::string_view /*path*/) { return absl::OkStatus(); };
  EXPECT_EQ(TreeWalk(RootedDirectory(fd_.get())).Run(visit, leave), absl::CancelledError("enough"));
}

TEST_F(TreeWalkTest, AVeryDeepTree) {
  constexpr int kDepth = 100;  // longer than a path may be
  const std::string name(100, 'd');
  UniqueFd at(::dup(fd_.get()));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0755), 0);
    at.Reset(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.valid());
  }
  EXPECT_EQ(Walk().size(), 2u * (kDepth + 1));
}

}  // namespace
}  // namespace sluice
