// What RemoveTree promises about mounts and other users' modes; needs root.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/remove_tree.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class RemoveTreeRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::geteuid(), 0u) << "this test mounts and changes users: it needs root";
    std::string pattern = "/tmp/remove-tree-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    ASSERT_EQ(::mkdir(At("tree").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(At("tree/inner").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(At("tree/inner/mount").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(At("kept").c_str(), 0755), 0);
    ASSERT_TRUE(std::ofstream(At("kept/file")) << "kept");
  }
  void TearDown() override {
    ::umount2(At("tree/inner/mount").c_str(), MNT_DETACH);
    EXPECT_EQ(RemoveTree(root_), absl::OkStatus());
  }

  std::string At(absl::string_view name) const { return absl::StrCat(root_, "/", name); }
  bool Exists(absl::string_view name) const { return ::access(At(name).c_str(), F_OK) == 0; }

  std::string root_;
};

TEST_F(RemoveTreeRootTest, BindMountOfTheSameFileSystemIsAnErrorAndKept) {
  ASSERT_EQ(::mount(At("kept").c_str(), At("tree/inner/mount").c_str(), nullptr, MS_BIND, nullptr), 0);
  const absl::Status status = RemoveTree(At("tree"));
  EXPECT_TRUE(absl::StrContains(status.message(), "openat(tree/inner/mount): Device or resource busy")) << status;
  EXPECT_TRUE(Exists("kept/file"));
}

TEST_F(RemoveTreeRootTest, OtherFileSystemIsAnErrorAndKept) {
  ASSERT_EQ(::mount("tmpfs", At("tree/inner/mount").c_str(), "tmpfs", 0, "size=64k"), 0);
  ASSERT_TRUE(std::ofstream(At("tree/inner/mount/file")) << "kept");
  const absl::Status status = RemoveTree(At("tree"));
  EXPECT_TRUE(absl::StrContains(status.message(), "openat(tree/inner/mount): Device or resource busy")) << status;
  EXPECT_TRUE(Exists("tree/inner/mount/file"));
}

TEST_F(RemoveTreeRootTest, MountOnTheTreeItselfIsAnErrorAndKept) {
  ASSERT_EQ(::mount(At("kept").c_str(), At("tree").c_str(), nullptr, MS_BIND, nullptr), 0);
  const absl::Status status = RemoveTree(At("tree"));
  EXPECT_EQ(::umount2(At("tree").c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(absl::StrContains(status.message(), "openat(tree): Device or resource busy")) << status;
  EXPECT_TRUE(Exists("kept/file"));
}

TEST_F(RemoveTreeRootTest, OrdinaryUserRemovesDirectoriesItsOwnModesShut) {
  constexpr uid_t kUser = 65534;
  for (const char* name : {"", "tree", "tree/inner", "tree/inner/mount"}) {
    ASSERT_EQ(::chown(At(name).c_str(), kUser, kUser), 0);
  }
  ASSERT_EQ(::chmod(At("tree/inner/mount").c_str(), 0000), 0);
  ASSERT_EQ(::chmod(At("tree/inner").c_str(), 0111), 0);
  ASSERT_EQ(::chmod(At("tree").c_str(), 0555), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setgid(kUser) != 0 || ::setuid(kUser) != 0) ::_exit(2);
    ::_exit(RemoveTree(At("tree")).ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_FALSE(Exists("tree"));
}

}  // namespace
}  // namespace sluice
