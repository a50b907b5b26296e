#include "base/remove_tree.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class RemoveTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // A tmpfs: making thousands of files soon after deleting as many is slow on some disks.
    std::string pattern = "/dev/shm/remove-tree-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    root_fd_.Reset(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(root_fd_.valid());
  }
  void TearDown() override { EXPECT_EQ(RemoveTree(root_).message(), ""); }

  std::string At(absl::string_view name) const { return absl::StrCat(root_, "/", name); }
  void Directory(absl::string_view name) const { ASSERT_EQ(::mkdir(At(name).c_str(), 0755), 0) << name; }
  void File(absl::string_view name) const { ASSERT_TRUE(std::ofstream(At(name)) << "content") << name; }
  bool Exists(absl::string_view name) const {
    struct stat attributes {};
    return ::lstat(At(name).c_str(), &attributes) == 0;
  }

  // root/<name>/d/d/d/…, made as the remover works: with one open directory at a time.
  void DeepDirectory(absl::string_view name, int depth) const {
    Directory(name);
    UniqueFd directory(::open(At(name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < depth; ++i) {
      ASSERT_EQ(::mkdirat(directory.get(), "d", 0755), 0);
      directory.Reset(::openat(directory.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      ASSERT_TRUE(directory.valid());
    }
  }

  std::string root_;
  UniqueFd root_fd_;
};

TEST_F(RemoveTreeTest, RemovesFilesLinksFifosAndDirectories) {
  Directory("tree");
  Directory("tree/empty");
  Directory("tree/full");
  File("tree/full/file");
  ASSERT_EQ(::mkfifo(At("tree/full/fifo").c_str(), 0644), 0);
  ASSERT_EQ(::symlink("nowhere", At("tree/full/link").c_str()), 0);
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "tree"), absl::OkStatus());
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, RemovesASingleFile) {
  File("file");
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "file"), absl::OkStatus());
  EXPECT_FALSE(Exists("file"));
}

TEST_F(RemoveTreeTest, MissingNameIsSuccess) {
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "missing"), absl::OkStatus());
  EXPECT_EQ(RemoveTree(At("missing/below")), absl::OkStatus());
}

TEST_F(RemoveTreeTest, LinksAreRemovedAndNeverFollowed) {
  Directory("kept");
  File("kept/file");
  Directory("tree");
  ASSERT_EQ(::symlink("../kept", At("tree/link").c_str()), 0);
  ASSERT_EQ(::symlink("kept", At("top").c_str()), 0);
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "tree"), absl::OkStatus());
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "top"), absl::OkStatus());
  EXPECT_FALSE(Exists("tree"));
  EXPECT_FALSE(Exists("top"));
  EXPECT_TRUE(Exists("kept/file"));
}

TEST_F(RemoveTreeTest, OnlyDirectoryEntriesAreNames) {
  File("file");
  for (const char* name : {"", ".", "..", "a/b", "/"}) {
    const absl::Status status = RemoveTreeAt(root_fd_.get(), name);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(Exists("file"));
}

TEST_F(RemoveTreeTest, WideDirectoriesAreReadOnce) {
  Directory("tree");
  for (int i = 0; i < 3000; ++i) Directory(absl::StrCat("tree/a-directory-with-a-longish-name-", i));
  for (int i = 0; i < 3000; ++i) File(absl::StrCat("tree/a-file-with-a-longish-name-", i));
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "tree"), absl::OkStatus());
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, CancelledStopsAndCanBeRepeated) {
  Directory("tree");
  Directory("tree/full");
  File("tree/full/file");
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "tree", &cancellation).code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(Exists("tree/full/file"));
  EXPECT_EQ(RemoveTreeAt(root_fd_.get(), "tree", nullptr), absl::OkStatus());
  EXPECT_FALSE(Exists("tree"));
}

void* RemoveDeep(void* root_fd) { return new absl::Status(RemoveTreeAt(*static_cast<int*>(root_fd), "deep")); }

TEST_F(RemoveTreeTest, DepthIsBoundedNeitherByTheStackNorByDescriptors) {
  DeepDirectory("deep", 25'000);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{static_cast<rlim_t>(root_fd_.get()) + 8, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);

  // 256 KiB is ample for a loop and far too little for a recursion of 25,000 frames.
  pthread_attr_t small_stack;
  ASSERT_EQ(::pthread_attr_init(&small_stack), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&small_stack, size_t{256} << 10), 0);
  pthread_t thread{};
  int root_fd = root_fd_.get();
  ASSERT_EQ(::pthread_create(&thread, &small_stack, RemoveDeep, &root_fd), 0);
  void* result = nullptr;
  ASSERT_EQ(::pthread_join(thread, &result), 0);
  ASSERT_EQ(::pthread_attr_destroy(&small_stack), 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  const std::unique_ptr<absl::Status> status(static_cast<absl::Status*>(result));
  EXPECT_EQ(*status, absl::OkStatus());
  EXPECT_FALSE(Exists("deep"));
}

}  // namespace
}  // namespace sluice
