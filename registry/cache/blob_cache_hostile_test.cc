// What lies where the cache's own files belong is never followed, never opened and never written to.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::Gives;
using ::sluice::testing::MakeBlob;
using ::sluice::testing::Origin;
using ::sluice::testing::ReadFile;
using ::sluice::testing::ReadToEnd;
using ::sluice::testing::StatusIs;
using ::sluice::testing::WriteFile;
using ::testing::IsEmpty;

struct Trap {
  const char* name;
  void (*make)(const std::string& path, const std::string& victim);
};

void MakeSocket(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // The whole path is too long for a socket's name.
  const int previous = open(".", O_PATH | O_CLOEXEC);
  ASSERT_EQ(chdir(std::filesystem::path(path).parent_path().c_str()), 0);
  std::strncpy(address.sun_path, std::filesystem::path(path).filename().c_str(), sizeof(address.sun_path) - 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(listener);
  ASSERT_EQ(fchdir(previous), 0);
  close(previous);
}

const std::vector<Trap>& Traps() {
  static const std::vector<Trap> traps = {
      {"LinkToFile",
       [](const std::string& path, const std::string& victim) { std::filesystem::create_symlink(victim, path); }},
      {"DanglingLink", [](const std::string& path,
                          const std::string& victim) { std::filesystem::create_symlink(victim + "-absent", path); }},
      {"LinkToDevice",
       [](const std::string& path, const std::string&) { std::filesystem::create_symlink("/dev/zero", path); }},
      {"Fifo", [](const std::string& path, const std::string&) { ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); }},
      {"Socket", [](const std::string& path, const std::string&) { MakeSocket(path); }},
      {"Directory", [](const std::string& path, const std::string&) { std::filesystem::create_directory(path); }},
  };
  return traps;
}

class BlobCacheHostileTest : public testing::CacheFixture, public ::testing::WithParamInterface<Trap> {
 protected:
  BlobCacheHostileTest() {
    WriteFile(victim_, origin_.content());
    std::filesystem::permissions(victim_, std::filesystem::perms(0640));
    SetUsed(victim_, 1000);
  }
  ~BlobCacheHostileTest() override {
    struct stat attributes = {};
    EXPECT_EQ(stat(victim_.c_str(), &attributes), 0);
    EXPECT_EQ(ReadFile(victim_), origin_.content());
    EXPECT_EQ(attributes.st_mode & 07777, 0640u);
    EXPECT_EQ(attributes.st_mtime, 1000);
    EXPECT_FALSE(std::filesystem::exists(victim_ + "-absent"));
  }

  void SetTrap(const std::string& path) const {
    std::filesystem::remove_all(path);
    GetParam().make(path, victim_);
  }
  bool IsDirectory() const { return GetParam().name == std::string("Directory"); }

  Origin origin_{MakeBlob(1, 200'000)};
  // What is in it is the very blob: following a link would look right.
  const std::string victim_ = dir_.At("victim");
};

TEST_P(BlobCacheHostileTest, AtTheBlob) {
  SetTrap(BlobPath(origin_.digest()));
  EXPECT_FALSE(cache_->Contains(origin_.digest(), std::nullopt));
  EXPECT_THAT(cache_->OpenBlob(origin_.digest(), std::nullopt), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(cache_->ReadDocument(origin_.digest(), 1 << 20), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
  EXPECT_EQ(cache_->Prune(0).value(), 0);
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  // Only a directory cannot be replaced: then the blob is not kept.
  EXPECT_EQ(cache_->Contains(origin_.digest(), origin_.size()), !IsDirectory());
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
}

TEST_P(BlobCacheHostileTest, AtTheDocument) {
  SetTrap(BlobPath(origin_.digest()));
  EXPECT_EQ(cache_->WriteDocument(origin_.digest(), origin_.content()).ok(), !IsDirectory());
  EXPECT_EQ(cache_->ReadDocument(origin_.digest(), 1 << 20).ok(), !IsDirectory());
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
}

TEST_P(BlobCacheHostileTest, AtTheIngest) {
  SetTrap(IngestPath(origin_.digest()));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
  EXPECT_EQ(cache_->Prune(0).value(), 0);
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  EXPECT_THAT(origin_.fetches(), ::testing::ElementsAre(0));
  EXPECT_EQ(cache_->Contains(origin_.digest(), origin_.size()), !IsDirectory());
}

TEST_P(BlobCacheHostileTest, AtTheTemporaryFile) {
  SetTrap(path_ + "/ingest/new");
  EXPECT_EQ(cache_->WriteDocument(Digest::Of("x"), "x").ok(), !IsDirectory());
  EXPECT_EQ(cache_->NameImage("a", Descriptor()).ok(), !IsDirectory());
}

TEST_P(BlobCacheHostileTest, AtTheIndex) {
  SetTrap(path_ + "/index.json");
  EXPECT_OK(BlobCache::Open(path_, {}));
  EXPECT_OK(cache_->Prune(0));
  EXPECT_EQ(cache_->NameImage("a", Descriptor()).ok(), !IsDirectory());
  EXPECT_EQ(std::filesystem::is_regular_file(std::filesystem::symlink_status(path_ + "/index.json")), !IsDirectory());
}

TEST_P(BlobCacheHostileTest, AtTheLock) {
  SetTrap(path_ + "/lock");
  EXPECT_THAT(BlobCache::Open(path_, {}), StatusIs(absl::StatusCode::kFailedPrecondition, path_ + "/lock"));
  EXPECT_THAT(cache_->Prune(0), StatusIs(absl::StatusCode::kFailedPrecondition, path_ + "/lock"));
  EXPECT_THAT(cache_->NameImage("a", {}), StatusIs(absl::StatusCode::kFailedPrecondition, path_ + "/lock"));
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
}

TEST_P(BlobCacheHostileTest, AtTheLayout) {
  SetTrap(path_ + "/oci-layout");
  EXPECT_THAT(BlobCache::Open(path_, {}), StatusIs(absl::StatusCode::kFailedPrecondition, path_));
}

TEST_P(BlobCacheHostileTest, AtADirectory) {
  if (IsDirectory()) std::filesystem::create_directory(victim_ + "-directory");
  for (const char* directory : {"/blobs/sha256", "/blobs", "/ingest"}) {
    // A link to a directory, where the trap is one.
    std::filesystem::remove_all(path_ + directory);
    if (IsDirectory()) {
      std::filesystem::create_directory_symlink(victim_ + "-directory", path_ + directory);
    } else {
      SetTrap(path_ + directory);
    }
    EXPECT_THAT(BlobCache::Open(path_, {}), StatusIs(absl::StatusCode::kFailedPrecondition, path_ + directory));
    std::filesystem::remove_all(path_);
    cache_ = Open();
  }
  EXPECT_TRUE(!IsDirectory() || std::filesystem::is_empty(victim_ + "-directory"));
}

INSTANTIATE_TEST_SUITE_P(Traps, BlobCacheHostileTest, ::testing::ValuesIn(Traps()),
                         [](const auto& param) { return param.param.name; });

// The directory of the cache itself is the user's to name, as with a store.
TEST(BlobCachePathTest, MayBeALink) {
  const testing::TempDir dir;
  dir.MakeDirectory("real");
  std::filesystem::create_symlink("real", dir.At("link"));
  EXPECT_OK(BlobCache::Open(dir.At("link"), {}));
  EXPECT_TRUE(std::filesystem::exists(dir.At("real/index.json")));
}

}  // namespace
}  // namespace sluice
