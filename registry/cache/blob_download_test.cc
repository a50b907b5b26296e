#include "registry/cache/blob_download.h"

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
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
using ::sluice::testing::ReadBytes;
using ::sluice::testing::ReadFile;
using ::sluice::testing::ReadToEnd;
using ::sluice::testing::StatusIs;
using ::sluice::testing::WriteFile;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kSize = 1'000'000;
constexpr size_t kPiece = 64 << 10;

// How many descriptors of this process have the file open.
int OpenFiles(const std::string& path) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed_meanwhile;
    if (std::filesystem::read_symlink(entry.path(), closed_meanwhile) == path) ++count;
  }
  return count;
}

class BlobDownloadTest : public testing::CacheFixture {
 protected:
  std::string Content(size_t from, size_t to) const { return origin_.content().substr(from, to - from); }
  bool IsKept() const { return cache_->Contains(origin_.digest(), origin_.size()); }
  bool HasIngest() const { return std::filesystem::exists(IngestPath(origin_.digest())); }

  Origin origin_{MakeBlob(1, kSize)};
};

TEST_F(BlobDownloadTest, OneDownloadsAndTheOtherFollows) {
  const std::unique_ptr<ByteReader> downloader = Download(origin_);
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_THAT(ReadBytes(*downloader, 1000), Gives(Content(0, 1000)));
  // In front of the downloader there is nothing: a larger read gets what there is.
  std::vector<char> buffer(kPiece);
  EXPECT_EQ(follower->Read(absl::MakeSpan(buffer)).value(), 1000u);
  EXPECT_THAT(ReadBytes(*downloader, 2000), Gives(Content(1000, 3000)));
  EXPECT_EQ(follower->Read(absl::MakeSpan(buffer)).value(), 2000u);
  EXPECT_EQ(std::string(buffer.data(), 2000), Content(1000, 3000));

  EXPECT_THAT(ReadToEnd(*downloader), Gives(Content(3000, kSize)));
  EXPECT_THAT(ReadToEnd(*follower), Gives(Content(3000, kSize)));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0));
  EXPECT_EQ(origin_.bytes(), origin_.size());
  EXPECT_TRUE(IsKept());
  EXPECT_FALSE(HasIngest());
}

TEST_F(BlobDownloadTest, ManyThreadsMakeOneDownload) {
  std::vector<std::string> read(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < read.size(); ++i) {
    threads.emplace_back([this, i, &read] { read[i] = ReadToEnd(*Download(origin_), 4096 + 1000 * i).value_or(""); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& content : read) EXPECT_EQ(Digest::Of(content), origin_.digest());
  EXPECT_THAT(origin_.fetches(), ElementsAre(0));
  EXPECT_EQ(origin_.bytes(), origin_.size());
}

TEST_F(BlobDownloadTest, AFollowerGoesOnWhereTheDownloaderStopped) {
  std::unique_ptr<ByteReader> downloader = Download(origin_);
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 500'000));
  EXPECT_THAT(ReadBytes(*follower, 100'000), Gives(Content(0, 100'000)));
  downloader.reset();
  EXPECT_THAT(ReadToEnd(*follower), Gives(Content(100'000, kSize)));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0, 500'000));
  EXPECT_EQ(origin_.bytes(), origin_.size());
  EXPECT_TRUE(IsKept());
}

TEST_F(BlobDownloadTest, OneOfSeveralFollowersGoesOn) {
  Cancellation cancellation;
  origin_.StopAt(500'000);
  std::unique_ptr<ByteReader> downloader = Download(origin_, &cancellation);
  std::thread first([&] { EXPECT_THAT(ReadToEnd(*downloader), StatusIs(absl::StatusCode::kCancelled)); });
  origin_.AwaitStopped();
  std::vector<std::thread> followers;
  for (int i = 0; i < 4; ++i) {
    followers.emplace_back([this] { EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content())); });
  }
  // Its reader stays: the error alone frees the lock.
  cancellation.Cancel();
  first.join();
  origin_.Continue();
  for (std::thread& thread : followers) thread.join();
  EXPECT_THAT(origin_.fetches(), ElementsAre(0, 500'000));
  EXPECT_EQ(origin_.bytes(), origin_.size());
}

TEST_F(BlobDownloadTest, AFollowerThatWaitsCanBeCancelled) {
  const std::unique_ptr<ByteReader> downloader = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 1000));
  Cancellation cancellation;
  const std::unique_ptr<ByteReader> follower = Download(origin_, &cancellation);
  EXPECT_OK(ReadBytes(*follower, 1000));
  std::thread waiting([&] { EXPECT_THAT(ReadToEnd(*follower), StatusIs(absl::StatusCode::kCancelled)); });
  cancellation.Cancel();
  waiting.join();
  EXPECT_THAT(ReadToEnd(*downloader), Gives(Content(1000, kSize)));
}

TEST_F(BlobDownloadTest, WhatWasLeftIsContinued) {
  EXPECT_OK(ReadBytes(*Download(origin_), 600'000));
  EXPECT_FALSE(IsKept());
  cache_ = Open();
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0, 600'000));
  EXPECT_EQ(origin_.bytes(), origin_.size());
  EXPECT_TRUE(IsKept());
}

TEST_F(BlobDownloadTest, WhatWasLeftWholeIsNotFetched) {
  WriteFile(IngestPath(origin_.digest()), origin_.content());
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  EXPECT_THAT(origin_.fetches(), IsEmpty());
  EXPECT_TRUE(IsKept());
  EXPECT_FALSE(HasIngest());
}

TEST_F(BlobDownloadTest, AFollowerPublishesWhatTheDownloaderDidNotLiveTo) {
  WriteFile(IngestPath(origin_.digest()), origin_.content());
  std::unique_ptr<ByteReader> downloader = Download(origin_);
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 1000));
  EXPECT_OK(ReadBytes(*follower, 1000));
  downloader.reset();
  EXPECT_THAT(ReadToEnd(*follower), Gives(Content(1000, kSize)));
  EXPECT_THAT(origin_.fetches(), IsEmpty());
  EXPECT_TRUE(IsKept());
}

TEST_F(BlobDownloadTest, AFetchErrorIsTheDownloadersAlone) {
  origin_.FailAt(300'000, absl::UnavailableError("connection reset"));
  const std::unique_ptr<ByteReader> downloader = Download(origin_);
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 300'000));
  EXPECT_THAT(ReadBytes(*follower, 300'000), Gives(Content(0, 300'000)));
  EXPECT_THAT(ReadToEnd(*downloader), StatusIs(absl::StatusCode::kUnavailable, "connection reset"));
  origin_.Heal();
  EXPECT_THAT(ReadToEnd(*follower), Gives(Content(300'000, kSize)));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0, 300'000));
  EXPECT_TRUE(IsKept());
}

TEST_F(BlobDownloadTest, AFetchThatCannotStartLeavesWhatThereWas) {
  EXPECT_OK(ReadBytes(*Download(origin_), 600'000));
  const auto refuse = [](int64_t) { return absl::UnauthenticatedError("no credentials"); };
  const auto reader = cache_->OpenOrFetch(origin_.digest(), origin_.size(), refuse, nullptr).value();
  EXPECT_THAT(ReadToEnd(*reader), StatusIs(absl::StatusCode::kUnauthenticated, "no credentials"));
  EXPECT_EQ(ReadFile(IngestPath(origin_.digest())), Content(0, 600'000));
}

TEST_F(BlobDownloadTest, AFetchThatNeverBeganLeavesNothing) {
  const auto refuse = [](int64_t) { return absl::UnauthenticatedError("no credentials"); };
  const auto reader = cache_->OpenOrFetch(origin_.digest(), origin_.size(), refuse, nullptr).value();
  const std::unique_ptr<ByteReader> next = Download(origin_);
  EXPECT_THAT(ReadToEnd(*reader), StatusIs(absl::StatusCode::kUnauthenticated, "no credentials"));
  EXPECT_FALSE(HasIngest());
  EXPECT_THAT(ReadToEnd(*next), Gives(origin_.content()));
}

TEST_F(BlobDownloadTest, WrongBytesAreDataLossAndLeaveNothing) {
  std::string wrong = origin_.content();
  wrong[kSize / 2] ^= 1;
  origin_.Serve(wrong);
  EXPECT_THAT(ReadToEnd(*Download(origin_)), StatusIs(absl::StatusCode::kDataLoss, Digest::Of(wrong).Hex()));
  EXPECT_FALSE(IsKept());
  EXPECT_FALSE(HasIngest());
  // In one read no less: what came from the network is not asked for twice.
  EXPECT_THAT(ReadToEnd(*Download(origin_), 2 * kSize), StatusIs(absl::StatusCode::kDataLoss, Digest::Of(wrong).Hex()));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0, 0));
  origin_.Serve(origin_.content());
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
}

TEST_F(BlobDownloadTest, AnotherLengthIsDataLossAndLeavesNothing) {
  origin_.Serve(Content(0, kSize - 1));
  EXPECT_THAT(ReadToEnd(*Download(origin_)), StatusIs(absl::StatusCode::kDataLoss, "ends after 999999 of 1000000"));
  EXPECT_FALSE(HasIngest());
  // The digest is that of a longer blob: what fits the size cannot have it.
  origin_.Serve(origin_.content());
  const auto reader = cache_->OpenOrFetch(origin_.digest(), 500'000, origin_.Fetch(), nullptr).value();
  EXPECT_THAT(ReadToEnd(*reader), StatusIs(absl::StatusCode::kDataLoss, origin_.digest().ToString()));
  EXPECT_FALSE(HasIngest());
  EXPECT_FALSE(IsKept());
}

TEST_F(BlobDownloadTest, BytesFromAWrongOffsetAreNoticed) {
  EXPECT_OK(ReadBytes(*Download(origin_), 600'000));
  const auto from_start = [this](int64_t) { return origin_.Fetch()(0); };
  const auto reader = cache_->OpenOrFetch(origin_.digest(), origin_.size(), from_start, nullptr).value();
  EXPECT_THAT(ReadToEnd(*reader), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(HasIngest());
}

TEST_F(BlobDownloadTest, ABadBeginningThatWasHandedOnIsDataLossAndGone) {
  WriteFile(IngestPath(origin_.digest()), std::string(600'000, '\0'));
  EXPECT_THAT(ReadToEnd(*Download(origin_)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(HasIngest());
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  EXPECT_THAT(origin_.fetches(), ElementsAre(600'000, 0));
}

TEST_F(BlobDownloadTest, ABadBeginningThatWasNotHandedOnIsFetchedAgain) {
  for (const size_t left : {size_t{600'000}, kSize}) {
    Origin origin(MakeBlob(left, kSize));
    WriteFile(IngestPath(origin.digest()), std::string(left, '\0'));
    EXPECT_THAT(ReadToEnd(*Download(origin), kSize), Gives(origin.content()));
    EXPECT_TRUE(cache_->Contains(origin.digest(), origin.size()));
  }
}

TEST_F(BlobDownloadTest, ABeginningThatIsTooLongIsDropped) {
  WriteFile(IngestPath(origin_.digest()), std::string(kSize + 1, 'x'));
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0));
}

TEST_F(BlobDownloadTest, ABeginningWithAnotherNameIsNotWrittenTo) {
  WriteFile(dir_.At("precious"), Content(0, 1000));
  std::filesystem::create_hard_link(dir_.At("precious"), IngestPath(origin_.digest()));
  EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content()));
  EXPECT_EQ(ReadFile(dir_.At("precious")), Content(0, 1000));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0));
}

TEST_F(BlobDownloadTest, AFollowerOfWrongBytesHearsOfIt) {
  origin_.Serve(std::string(kSize, 'x'));
  const std::unique_ptr<ByteReader> downloader = Download(origin_);
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 500'000));
  EXPECT_OK(ReadBytes(*follower, 400'000));
  EXPECT_THAT(ReadToEnd(*downloader), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ReadToEnd(*follower), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0));
  EXPECT_FALSE(IsKept());
  EXPECT_FALSE(HasIngest());
}

TEST_F(BlobDownloadTest, AFollowerThatLostTheFileGoesOnPastTheCache) {
  std::unique_ptr<ByteReader> downloader = Download(origin_);
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 500'000));
  EXPECT_OK(ReadBytes(*follower, 400'000));
  downloader.reset();
  ASSERT_TRUE(std::filesystem::remove(IngestPath(origin_.digest())));
  EXPECT_THAT(ReadToEnd(*follower), Gives(Content(400'000, kSize)));
  EXPECT_THAT(origin_.fetches(), ElementsAre(0, 500'000));
  EXPECT_FALSE(IsKept());
  EXPECT_FALSE(HasIngest());
}

TEST_F(BlobDownloadTest, AFollowerThatLostTheFileBeforeItReadStartsAnew) {
  Cancellation cancellation;
  origin_.StopAt(0);
  std::thread downloader(
      [&] { EXPECT_THAT(ReadToEnd(*Download(origin_, &cancellation)), StatusIs(absl::StatusCode::kCancelled)); });
  origin_.AwaitStopped();
  std::thread follower([&] { EXPECT_THAT(ReadToEnd(*Download(origin_)), Gives(origin_.content())); });
  while (OpenFiles(IngestPath(origin_.digest())) < 2) std::this_thread::yield();
  ASSERT_TRUE(std::filesystem::remove(IngestPath(origin_.digest())));
  cancellation.Cancel();
  downloader.join();
  origin_.Continue();
  follower.join();
  EXPECT_TRUE(IsKept());
}

TEST_F(BlobDownloadTest, ADownloaderWhoseFileIsCutGoesOnPastTheCache) {
  WriteFile(IngestPath(origin_.digest()), Content(0, 600'000));
  const std::unique_ptr<ByteReader> reader = Download(origin_);
  EXPECT_THAT(ReadBytes(*reader, 1000), Gives(Content(0, 1000)));
  std::filesystem::resize_file(IngestPath(origin_.digest()), 500);
  EXPECT_THAT(ReadToEnd(*reader), Gives(Content(1000, kSize)));
  EXPECT_THAT(origin_.fetches(), ElementsAre(1000));
  EXPECT_FALSE(HasIngest());
}

// Small blobs in memory: whatever can happen between two looks of a reader does, while another one publishes.
class CrowdedBlobDownloadTest : public testing::CacheFixture {
 protected:
  CrowdedBlobDownloadTest() : CacheFixture(testing::TempDir::Place::kMemory) {}
};

TEST_F(CrowdedBlobDownloadTest, EachBlobIsFetchedOnce) {
  constexpr int kBlobs = 1000;
  std::vector<std::unique_ptr<Origin>> origins;
  for (int i = 0; i < kBlobs; ++i) origins.push_back(std::make_unique<Origin>(MakeBlob(i, 100)));
  std::vector<std::thread> threads;
  for (size_t piece : {1, 10, 99, 100}) {
    threads.emplace_back([this, &origins, piece] {
      for (const auto& origin : origins) EXPECT_THAT(ReadToEnd(*Download(*origin), piece), Gives(origin->content()));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& origin : origins) EXPECT_THAT(origin->fetches(), ElementsAre(0));
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
}

}  // namespace
}  // namespace sluice
