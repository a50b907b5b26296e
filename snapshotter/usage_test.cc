#include "snapshotter/usage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using testing::TempDir;

int64_t AllocatedBytes(const std::string& path) {
  struct stat info;
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return static_cast<int64_t>(info.st_blocks) * 512;
}

TEST(UsageTest, CountsDistinctInodesAndTheirBlocks) {
  const TempDir dir;
  const std::string sub = dir.MakeDirectory("sub");
  std::ofstream(dir.At("file")) << std::string(10000, 'x');
  ASSERT_EQ(link(dir.At("file").c_str(), (sub + "/again").c_str()), 0);
  ASSERT_EQ(symlink("/etc", (sub + "/outside").c_str()), 0);

  ASSERT_OK_AND_ASSIGN(const Usage usage, DiskUsage(dir.fd()));
  EXPECT_EQ(usage.inodes, 4);  // the root, sub, the file once, the symlink
  EXPECT_EQ(usage.bytes, AllocatedBytes(dir.path()) + AllocatedBytes(sub) + AllocatedBytes(dir.At("file")) +
                             AllocatedBytes(sub + "/outside"));
}

TEST(UsageTest, EndsWhereThereIsMoreThanWanted) {
  const TempDir dir;
  for (const char* name : {"a", "b", "c"}) std::ofstream(dir.At(name)).close();
  EXPECT_EQ(DiskUsage(dir.fd(), nullptr, 4).value().inodes, 4);
  EXPECT_THAT(DiskUsage(dir.fd(), nullptr, 3), testing::StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(UsageTest, HolesTakeNothing) {
  const TempDir dir(TempDir::Place::kMemory);
  std::ofstream(dir.At("sparse")).close();
  ASSERT_EQ(truncate(dir.At("sparse").c_str(), int64_t{1} << 40), 0);
  ASSERT_OK_AND_ASSIGN(const Usage usage, DiskUsage(dir.fd()));
  EXPECT_EQ(usage.inodes, 2);
  EXPECT_LT(usage.bytes, 1 << 20);
}

TEST(UsageTest, OpensOneDirectoryAtATimeWhateverTheDepth) {
  const TempDir dir(TempDir::Place::kMemory);
  constexpr int kDepth = 3000;
  UniqueFd current(openat(dir.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(mkdirat(current.get(), "d", 0755), 0);
    current.Reset(openat(current.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(current.valid());
  }
  ASSERT_OK_AND_ASSIGN(const Usage usage, DiskUsage(dir.fd()));
  EXPECT_EQ(usage.inodes, kDepth + 1);
}

TEST(UsageTest, StopsWhenCancelled) {
  const TempDir dir;
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_THAT(DiskUsage(dir.fd(), &cancellation), testing::StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace sluice
