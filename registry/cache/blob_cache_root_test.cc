// What only root can set up: file systems that are full, and a cache that belongs to somebody else.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::Gives;
using ::sluice::testing::MakeBlob;
using ::sluice::testing::Origin;
using ::sluice::testing::ReadBytes;
using ::sluice::testing::ReadFile;
using ::sluice::testing::ReadToEnd;
using ::sluice::testing::StatusIs;
using ::sluice::testing::WriteFile;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kEndless = int64_t{1} << 40;
constexpr size_t kBlob = 1 << 20;

// A cache of its own on a tmpfs.
class SmallDiskTest : public ::testing::Test {
 protected:
  ~SmallDiskTest() override {
    cache_.reset();
    if (is_mounted_) umount2(disk_.c_str(), MNT_DETACH);
  }

  void Mount(const std::string& options) {
    is_mounted_ = mount("tmpfs", disk_.c_str(), "tmpfs", 0, options.c_str()) == 0;
    ASSERT_TRUE(is_mounted_);
  }
  void Open(const BlobCacheOptions& options) { cache_ = BlobCache::Open(path_, options).value(); }
  void Get(Origin& origin) {
    auto reader = cache_->OpenOrFetch(origin.digest(), origin.size(), origin.Fetch(), nullptr).value();
    EXPECT_THAT(ReadToEnd(*reader), Gives(origin.content()));
  }
  bool Has(const Origin& origin) const { return cache_->Contains(origin.digest(), origin.size()); }
  // Everything else that is on the disk: all that is left but `bytes`.
  void FillUpTo(int64_t bytes) {
    const std::filesystem::space_info space = std::filesystem::space(disk_);
    WriteFile(disk_ + "/other", std::string(space.available - bytes, 'x'));
  }

  testing::TempDir dir_;
  const std::string disk_ = dir_.MakeDirectory("disk");
  const std::string path_ = disk_ + "/cache";
  bool is_mounted_ = false;
  std::unique_ptr<BlobCache> cache_;
  Origin first_{MakeBlob(1, kBlob)};
  Origin second_{MakeBlob(2, kBlob)};
};

TEST_F(SmallDiskTest, TakesATenthOfTheDiskUnlessToldOtherwise) {
  Mount("size=20m");
  Open({});
  Get(first_);
  Get(second_);
  EXPECT_TRUE(Has(first_));
  EXPECT_TRUE(Has(second_));
  Origin third(MakeBlob(3, kBlob));
  Get(third);
  EXPECT_FALSE(Has(first_));
  EXPECT_TRUE(Has(third));
}

TEST_F(SmallDiskTest, AFullDiskIsReadPast) {
  Mount("size=8m");
  Open({.max_bytes = kEndless});
  FillUpTo(100'000);
  Get(first_);
  EXPECT_FALSE(Has(first_));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
  const std::string document = MakeBlob(3, 200'000);
  EXPECT_THAT(cache_->WriteDocument(Digest::Of(document), document),
              StatusIs(absl::StatusCode::kResourceExhausted, path_));
}

TEST_F(SmallDiskTest, BlobsMakeRoomOnAFullDisk) {
  Mount("size=8m");
  Open({.max_bytes = kEndless});
  Get(first_);
  FillUpTo(100'000);
  Get(second_);
  EXPECT_FALSE(Has(first_));
  EXPECT_TRUE(Has(second_));
}

TEST_F(SmallDiskTest, ADiskThatFillsUpMeanwhileIsReadPast) {
  Mount("size=8m");
  Open({.max_bytes = kEndless});
  auto reader = cache_->OpenOrFetch(first_.digest(), first_.size(), first_.Fetch(), nullptr).value();
  EXPECT_OK(ReadBytes(*reader, 1000));
  // What the download reserved is its own.
  FillUpTo(0);
  EXPECT_THAT(ReadToEnd(*reader), Gives(first_.content().substr(1000)));
  EXPECT_TRUE(Has(first_));
  // One that reserved nothing, because its process died before it could.
  reader = cache_->OpenOrFetch(second_.digest(), second_.size(), second_.Fetch(), nullptr).value();
  EXPECT_THAT(ReadToEnd(*reader), Gives(second_.content()));
}

TEST_F(SmallDiskTest, LeavesWhatItIsToldTo) {
  Mount("size=8m");
  Open({.max_bytes = kEndless, .min_free_bytes = 6 << 20});
  Get(first_);
  EXPECT_TRUE(Has(first_));
  Get(second_);
  EXPECT_TRUE(Has(second_));
  EXPECT_FALSE(Has(first_));
  EXPECT_GE(std::filesystem::space(disk_).available, uint64_t{6} << 20);
}

TEST_F(SmallDiskTest, InodesRunOut) {
  // The root, the directory with what is always in it (8), and two blobs.
  Mount("size=64m,nr_inodes=10");
  Open({.max_bytes = kEndless});
  Get(first_);
  Get(second_);
  EXPECT_THAT(cache_->List().value(), SizeIs(2));
  // A blob goes for another, and for a document.
  Origin third(MakeBlob(3, kBlob));
  Get(third);
  EXPECT_TRUE(Has(third));
  EXPECT_FALSE(Has(first_));
  EXPECT_OK(cache_->WriteDocument(Digest::Of("x"), "x"));
  EXPECT_FALSE(Has(second_));
  EXPECT_OK(cache_->Prune(0));
  // Others have taken all of them.
  for (int i = 0; std::filesystem::space(disk_).available > 0; ++i) {
    const int fd = open(absl::StrCat(disk_, "/", i).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) break;
    close(fd);
  }
  Get(first_);
  EXPECT_FALSE(Has(first_));
  EXPECT_FALSE(cache_->WriteDocument(Digest::Of("y"), "y").ok());
}

TEST_F(SmallDiskTest, LeavesInodes) {
  Mount("size=64m,nr_inodes=20");
  Open({.max_bytes = kEndless, .min_free_inodes = 11});
  Get(first_);
  EXPECT_TRUE(Has(first_));
  Get(second_);
  EXPECT_TRUE(Has(second_));
  EXPECT_FALSE(Has(first_));
}

// Runs `body` as an ordinary user.
void AsNobody(const std::function<void()>& body) {
  constexpr uid_t kNobody = 65534;
  const pid_t pid = fork();
  if (pid == 0) {
    if (setresgid(kNobody, kNobody, kNobody) != 0 || setresuid(kNobody, kNobody, kNobody) != 0) _exit(126);
    body();
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(OrdinaryUserTest, HasACacheLikeRoot) {
  const testing::TempDir dir;
  ASSERT_EQ(chmod(dir.path().c_str(), 0777), 0);
  const std::string path = dir.At("home/cache");
  AsNobody([&path] {
    Origin origin(MakeBlob(1, kBlob));
    {
      const auto cache = BlobCache::Open(path, {.max_bytes = kEndless}).value();
      const auto half = cache->OpenOrFetch(origin.digest(), origin.size(), origin.Fetch(), nullptr).value();
      EXPECT_OK(ReadBytes(*half, kBlob / 2));
    }
    const auto cache = BlobCache::Open(path, {.max_bytes = 2 * kBlob}).value();
    for (int i = 0; i < 2; ++i) {
      const auto reader = cache->OpenOrFetch(origin.digest(), origin.size(), origin.Fetch(), nullptr).value();
      EXPECT_THAT(ReadToEnd(*reader), Gives(origin.content()));
    }
    EXPECT_THAT(origin.fetches(), ::testing::ElementsAre(0, kBlob / 2));
    EXPECT_OK(cache->WriteDocument(Digest::Of("x"), "x"));
    EXPECT_OK(cache->NameImage("a", {}));
    EXPECT_EQ(cache->Prune(0).value(), static_cast<int64_t>(kBlob) + 1);
  });
}

TEST(OrdinaryUserTest, ReadsPastWhatIsNotHis) {
  const testing::TempDir dir;
  const std::string path = dir.At("cache");
  Origin origin(MakeBlob(1, kBlob));
  {
    // As a command under sudo leaves it.
    const auto cache = BlobCache::Open(path, {.max_bytes = kEndless}).value();
    EXPECT_OK(ReadBytes(*cache->OpenOrFetch(origin.digest(), origin.size(), origin.Fetch(), nullptr).value(), 1000));
  }
  for (const char* name : {"", "/blobs", "/blobs/sha256", "/ingest", "/lock", "/index.json", "/oci-layout"}) {
    ASSERT_EQ(chown((path + name).c_str(), 65534, 65534), 0);
  }
  AsNobody([&] {
    const auto cache = BlobCache::Open(path, {.max_bytes = kEndless}).value();
    const auto reader = cache->OpenOrFetch(origin.digest(), origin.size(), origin.Fetch(), nullptr).value();
    EXPECT_THAT(ReadToEnd(*reader), Gives(origin.content()));
    EXPECT_FALSE(cache->Contains(origin.digest(), origin.size()));
  });
  EXPECT_EQ(ReadFile(path + "/ingest/" + origin.digest().Hex()).size(), 1000u);
  AsNobody(
      [&] { EXPECT_THAT(BlobCache::Open("/root/x", {}), StatusIs(absl::StatusCode::kPermissionDenied, "/root")); });
}

}  // namespace
}  // namespace sluice
