#include "base/rooted_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/remove_tree.h"

namespace sluice {
namespace {

// Every case runs on both walks: they must not differ.
class RootedDirectoryTest : public testing::TestWithParam<RootedDirectory::Walk> {
 protected:
  void SetUp() override {
    std::string path = absl::StrCat(testing::TempDir(), "/rooted-XXXXXX");
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    path_ = path;
    ASSERT_EQ(::mkdir((path_ + "/root").c_str(), 0755), 0);
    fd_.Reset(::open((path_ + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(fd_.valid());
    ASSERT_EQ(::mkdirat(fd_.get(), "a", 0755), 0);
    ASSERT_EQ(::mkdirat(fd_.get(), "a/b", 0755), 0);
    ASSERT_EQ(::symlinkat("a", fd_.get(), "link"), 0);
    ASSERT_EQ(::symlinkat("/", fd_.get(), "a/top"), 0);
    UniqueFd file(::openat(fd_.get(), "a/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(file.valid());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(path_).ok()); }

  // The errno of an open that must fail, 0 if it does not.
  int Failure(absl::string_view path, int flags = O_RDONLY | O_DIRECTORY) {
    return RootedDirectory(fd_.get(), GetParam()).Open(path, flags).valid() ? 0 : errno;
  }
  bool Opens(absl::string_view path, int flags = O_RDONLY | O_DIRECTORY) { return Failure(path, flags) == 0; }

  std::string path_;
  UniqueFd fd_;
};

TEST_P(RootedDirectoryTest, OpensBelow) {
  EXPECT_TRUE(Opens(""));
  EXPECT_TRUE(Opens("a"));
  EXPECT_TRUE(Opens("a/b"));
  EXPECT_TRUE(Opens("a/file", O_RDONLY));
  EXPECT_EQ(Failure("a/none"), ENOENT);
  EXPECT_EQ(Failure("none/b"), ENOENT);
}

TEST_P(RootedDirectoryTest, NoSymlinkIsFollowed) {
  for (const char* path : {"link", "link/b", "a/top", "a/top/a"}) {
    const int error = Failure(path);
    EXPECT_TRUE(error == ELOOP || error == ENOTDIR) << path << " " << error;
  }
  EXPECT_EQ(Failure("link", O_RDONLY), ELOOP);
  EXPECT_TRUE(Opens("link", O_PATH | O_NOFOLLOW));
  EXPECT_EQ(Failure("a/file/x"), ENOTDIR);
}

TEST_P(RootedDirectoryTest, DotsAndAbsoluteNamesAreRefused) {
  for (const char* path : {"..", ".", "a/..", "../root", "/", "/etc", "a//b", "a/", "a/./b"}) {
    EXPECT_EQ(Failure(path), EINVAL) << path;
  }
}

TEST_P(RootedDirectoryTest, PathsLongerThanTheKernelTakesAtOnce) {
  const std::string name(200, 'n');
  std::string path;
  UniqueFd current(::openat(fd_.get(), "a", O_PATH | O_DIRECTORY | O_CLOEXEC));
  path = "a";
  while (path.size() < 10000) {
    ASSERT_EQ(::mkdirat(current.get(), name.c_str(), 0755), 0);
    current.Reset(::openat(current.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    absl::StrAppend(&path, "/", name);
  }
  struct stat want {};
  struct stat got {};
  ASSERT_EQ(::fstat(current.get(), &want), 0);
  const UniqueFd opened = RootedDirectory(fd_.get(), GetParam()).Open(path, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(opened.valid());
  ASSERT_EQ(::fstat(opened.get(), &got), 0);
  EXPECT_EQ(want.st_ino, got.st_ino);
  EXPECT_EQ(Failure(std::string(5000, 'x')), ENAMETOOLONG);
}

TEST_P(RootedDirectoryTest, RenamesElsewhereDoNotMakeItFail) {
  std::atomic<bool> stop{false};
  std::thread renamer([&] {
    while (!stop) {
      ::renameat(fd_.get(), "a/file", fd_.get(), "a/other");
      ::renameat(fd_.get(), "a/other", fd_.get(), "a/file");
    }
  });
  int failures = 0;
  for (int i = 0; i < 20000; ++i) failures += Opens("a/b") ? 0 : 1;
  stop = true;
  renamer.join();
  EXPECT_EQ(failures, 0);
}

INSTANTIATE_TEST_SUITE_P(Walks, RootedDirectoryTest,
                         testing::Values(RootedDirectory::Walk::kKernel, RootedDirectory::Walk::kComponents),
                         [](const auto& param_info) {
                           return param_info.param == RootedDirectory::Walk::kKernel ? "Kernel" : "Components";
                         });

}  // namespace
}  // namespace sluice
